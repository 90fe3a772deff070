#include "api/refusal.h"

static const struct {
    int status;
    const char *sentence;
} refusals[] = {
    [REFUSAL_NO_CREDENTIALS] =
        {401, "Credentials are missing, or nobody holds them: x-api-token, a bearer token, or a session"},
    [REFUSAL_FORBIDDEN] = {403, "These credentials do not allow this"},
    [REFUSAL_NO_RUN] = {404, "There is no run with this id"},
    [REFUSAL_TOO_LARGE] = {413, "The body is too large"},
    [REFUSAL_TOO_MANY] = {413, "A batch has at most 10000 emissions"}, /* EMISSION_BATCH_SIZE */
    [REFUSAL_OVERLOADED] = {503, "Too much to do: try again"},
    [REFUSAL_AWAY] = {503, "The database is away or too slow: try again"},
    [REFUSAL_TAKEN] = {409, "This e-mail address is taken"},
    [REFUSAL_FAILED] = {500, "Something is wrong in the server: its log tells more"},
};

int refusal_status(enum refusal refusal) {
    return refusals[refusal].status;
}

const char *refusal_sentence(enum refusal refusal) {
    return refusals[refusal].sentence;
}

void refusal_reply(enum refusal refusal, struct http_request *request) {
    http_reply_error(request, refusals[refusal].status, refusals[refusal].sentence);
}
