/* What the API says when it cannot do what was asked: the statuses and sentences that several places answer. */
#pragma once

#include "http/reply.h"

enum refusal {
    REFUSAL_NO_CREDENTIALS,
    REFUSAL_FORBIDDEN,
    REFUSAL_NO_RUN,
    REFUSAL_TOO_LARGE,
    REFUSAL_TOO_MANY,
    REFUSAL_OVERLOADED,
    REFUSAL_AWAY,
    REFUSAL_TAKEN,
    REFUSAL_FAILED,
};

int refusal_status(enum refusal refusal);
const char *refusal_sentence(enum refusal refusal);

/* Of a fault whose value the database refuses: what it says itself would quote it. */
#define REFUSED_VALUE "The database does not take one of the values"

/* Leaves the reply. */
void refusal_reply(enum refusal refusal, struct http_request *request);
