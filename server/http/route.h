/* Routes: a method, a pattern of segments, and what to do. Patterns are made of literals and captures:
 * "/projects/{project_id}/sums". Where several match a path, the most literal one counts (compared from the left). */
#pragma once

#include "base/buffer.h"
#include "http/url.h"

#include <stdbool.h>
#include <stddef.h>

struct http_request;

/* What bodies a route takes, added up; of a body, which one it is. */
enum http_body {
    HTTP_BODY_NONE = 0, /* what comes is read and forgotten */
    HTTP_BODY_JSON = 1, /* also when the client does not say what it sends */
    HTTP_BODY_FORM = 2,
    HTTP_BODY_NDJSON = 4,
    HTTP_BODY_GZIP = 8, /* beside the others: it may be compressed */
};

struct http_route {
    const char *method;
    const char *pattern;
    unsigned body;     /* of enum http_body */
    size_t body_limit; /* bytes */
    /* Asked on the event thread, with the server's inline context, when the head is read and well-formed: true, and a reply
     * was left, if the request is not let in, as one too many. May be NULL. */
    bool (*refuse)(struct http_request *request, void *context);
    /* The threads that handle it (see http_server_add_lane). */
    int lane;
    /* Tried on the event thread before the lane is troubled; gets the server's inline context and must not block. True: a
     * reply was left, or the request was deferred (see http/request.h). May be NULL. */
    bool (*try_at_once)(struct http_request *request, void *context);
    /* Runs on a thread of the lane, whose context it gets, and leaves a reply in the request. */
    void (*handle)(struct http_request *request, void *context);
    const void *data; /* for the handler */
    bool probe;       /* supervisors ask it again and again: in the log, a 200 of it is for debugging */
};

enum { HTTP_CAPTURES = 3 };

struct http_match {
    const struct http_route *route;
    struct http_parameter captures[HTTP_CAPTURES];
    size_t capture_count;
};

enum http_found { HTTP_FOUND, HTTP_NO_PATH, HTTP_NO_METHOD, HTTP_OPTIONS };

struct http_router;

/* Keeps a pointer to the routes. NULL when out of memory; aborts on a pattern that is not well-formed. */
struct http_router *http_router_new(const struct http_route *routes, size_t count);
void http_router_free(struct http_router *router);

/* HEAD finds the routes of GET. The captures point into `url` and the patterns. */
enum http_found http_router_find(const struct http_router *router, const char *method,
                                 const struct http_url *url, struct http_match *match);

/* Appends the methods of this path, or with NULL those of any: "GET, HEAD, OPTIONS". */
void http_router_methods(const struct http_router *router, const struct http_url *url, struct buffer *out);
