/* What servers answer, understood with caution: what answers may be a proxy, a portal, or no server at all. */
#pragma once

#include "id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum outcome {
    OUTCOME_DONE,         /* 200 or 201 */
    OUTCOME_REFUSED,      /* for good: and whoever says so speaks the API's language, with a `detail` */
    OUTCOME_NO_ROUTE,     /* this server does not have the path, or not with POST */
    OUTCOME_UNAUTHORIZED, /* the token is refused */
    OUTCOME_LATER,        /* not now */
    OUTCOME_STRANGE,      /* nothing that could be understood: to be tried again, all the same */
};

/* Of a whole request. `status` 0: no answer came. */
enum outcome answer_outcome(int status, const char *body, size_t length);

/* The `detail` of an error as JSON text, which the caller frees; NULL where there is none. */
char *answer_detail(const char *body, size_t length);

/* The id in the answer to the creation of a run. False where there is none. */
bool answer_run_id(const char *body, size_t length, struct id *id);

/* Why an emission of a batch was not stored. */
struct rejection {
    size_t index;
    int status;
    char *detail; /* JSON text */
};

struct batch_answer {
    size_t accepted, duplicates;
    size_t unlisted; /* rejections that are counted, but not listed */
    size_t listed;
    struct rejection *rejections; /* by index, each one once */
};

/* The answer to a batch of `sent` emissions. False when it is anything but an exact account of so many, or when out of
 * memory; there is nothing to free then. */
bool answer_batch(const char *body, size_t length, size_t sent, struct batch_answer *answer);
void answer_batch_free(struct batch_answer *answer);
