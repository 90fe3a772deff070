#include "api/gate.h"

#include "api/sessions.h"
#include "auth/guesses.h"

#include <string.h>

/* Trackers are let alone by default, and their wrong tokens cost little: a writer asks for many in one query. So no tracker
 * loses an emission since another one, behind the same address, has a token that was revoked. */
static const struct {
    enum limit by_address;
    enum limit by_secret;
    bool may_guess; /* wrong credentials do not count */
} classes[] = {
    [CLASS_QUESTION] = {LIMIT_ADDRESS, LIMIT_TOKEN, false},
    [CLASS_TRACKER] = {LIMIT_TRACKER_ADDRESS, LIMIT_TRACKER_TOKEN, true},
    [CLASS_SIGN_IN] = {LIMIT_SIGN_IN, LIMIT_NONE, true},
    [CLASS_SIGN_UP] = {LIMIT_SIGN_UP, LIMIT_NONE, true},
    [CLASS_PROBE] = {LIMIT_NONE, LIMIT_NONE, true},
};

static enum route_class class_of(const struct http_request *request) {
    const struct api_route *route = http_request_match(request)->route->data;
    return route->class;
}

/* ---- on the event thread */

static void reply(const struct api *api, enum limit limit, struct http_request *request, int seconds) {
    limits_reply(limit, request, seconds);
    if (limit == LIMIT_SIGN_IN)
        sessions_too_many(api, request);
}

static bool refuse_address(const struct api *api, enum limit limit, struct http_request *request) {
    if (limit == LIMIT_NONE)
        return false;
    const struct http_address address = http_address_counted(http_request_address(request));
    int seconds = limits_take(api->limits, limit, &address, sizeof address);
    if (seconds)
        reply(api, limit, request, seconds);
    return seconds > 0;
}

static bool refuse_secret(const struct api *api, enum limit limit, struct http_request *request) {
    const char *secret = limit == LIMIT_NONE ? NULL : caller_secret(request);
    int seconds = secret ? limits_take(api->limits, limit, secret, strlen(secret)) : 0;
    if (seconds)
        reply(api, limit, request, seconds);
    return seconds > 0;
}

static bool refuse_host(const struct api *api, struct http_request *request) {
    if (!api->auth->at_home || http_request_host_trusted(request))
        return false;
    http_reply_error(request, 403,
                     "With --auth none the server answers to localhost, its address, and each --cors-origin");
    return true;
}

bool gate_refuse(struct http_request *request, void *worker) {
    const struct api *api = ((struct api_worker *)worker)->api;
    enum route_class class = class_of(request);
    return refuse_host(api, request) || refuse_address(api, classes[class].by_address, request) ||
           (!api->auth->none && refuse_secret(api, classes[class].by_secret, request));
}

/* ---- on a worker */

static const char *counted_secret(const struct call *call) {
    bool counts = !call->api->auth->none && !classes[call->route->class].may_guess;
    return counts ? caller_secret(call->request) : NULL;
}

bool gate_refuse_guess(struct call *call) {
    const char *secret = counted_secret(call);
    return secret && !guesses_credential(call->api->guesses, call->request, secret);
}

void gate_note_guess(struct call *call) {
    const char *secret = counted_secret(call);
    if (secret)
        guesses_credential_was(call->api->guesses, call->request, secret, call->caller.kind != CALLER_NOBODY);
}
