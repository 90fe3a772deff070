/* A request, as its handler sees it. All texts live until the reply is left (http/reply.h); a handler that streams
 * must not look at the request afterwards. Used by one thread at a time. */
#pragma once

#include "http/address.h"
#include "http/route.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_request;

/* Its route and what the route captured from the path. */
const struct http_match *http_request_match(const struct http_request *request);

/* NULL where there is none. Header names without regard to case; of a header that comes twice, the first. */
const char *http_request_header(const struct http_request *request, const char *name);
const char *http_request_cookie(const struct http_request *request, const char *name);
const char *http_request_parameter(const struct http_request *request, const char *name);

/* The token in front of the path (/t/TOKEN/...), or NULL. */
const char *http_request_url_token(const struct http_request *request);

/* The body, with a NUL behind it; "" if there is none. */
const char *http_request_body(const struct http_request *request, size_t *size);

/* Gives the body's memory back, once it is read. */
void http_request_drop_body(struct http_request *request);

/* Which kind of body it is, of those that the route takes; and whether it came compressed. */
enum http_body http_request_body_kind(const struct http_request *request);
bool http_request_is_gzipped(const struct http_request *request);

/* Whether `Origin` is the server's own (by the target's host, or else the Host header) or a configured one; false without the header. */
bool http_request_origin_trusted(const struct http_request *request);

/* Whether the name that the server is asked by is nobody else's to give: an address, localhost, the host of a configured
 * origin, or none at all. Whoever owns another name may let it lead here, and so make their page one of our own origin. */
bool http_request_host_trusted(const struct http_request *request);

/* Who sent it: the peer of the connection, or whom a configured proxy names as its client (http/forwarded.h). */
const struct http_address *http_request_address(const struct http_request *request);
const char *http_request_address_text(const struct http_request *request);

/* Whether the client speaks TLS, to us or, as it says, to such a proxy: then cookies are for such connections only. */
bool http_request_is_secure(const struct http_request *request);

/* When it was complete, on the monotonic clock (base/clock.h). */
int64_t http_request_arrival(const struct http_request *request);

/* Keeps the request beyond the return of its handler. Whoever holds it then, on any thread, leaves a reply and calls
 * http_request_answer, once; the handler must not look at it after it has passed it on. */
void http_request_defer(struct http_request *request);
void http_request_answer(struct http_request *request);
