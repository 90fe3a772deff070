#include "http/request.h"

#include "base/clock.h"
#include "http/cors.h"
#include "http/exchange.h"
#include "http/server_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct http_request *http_request_new(struct http_server *server, const char *target) {
    struct http_request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    request->target = strdup(target);
    if (!request->target) {
        free(request);
        return NULL;
    }
    request->server = server;
    request->started = clock_monotonic();
    atomic_init(&request->holders, 1);
    return request;
}

/* On a lane the connection is suspended already; before that, it must be before anybody else can know of the request. */
void http_request_defer(struct http_request *request) {
    atomic_fetch_add(&request->holders, 1);
    request->given_away = true;
    if (!request->on_lane)
        MHD_suspend_connection(request->connection);
}

void http_request_answer(struct http_request *request) {
    http_reply_finish(request);
    http_server_resume(request->server, request->connection);
    http_request_release(request);
}

void http_request_release(struct http_request *request) {
    if (atomic_fetch_sub(&request->holders, 1) > 1)
        return;
    for (size_t i = 0; i < request->reply.header_count; i++)
        free(request->reply.headers[i].value);
    buffer_free(&request->reply.body);
    http_request_drop_body(request);
    http_url_free(&request->url);
    free(request->target);
    free(request);
}

const struct http_match *http_request_match(const struct http_request *request) {
    return &request->match;
}

const char *http_request_header(const struct http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *http_request_cookie(const struct http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND, name);
}

const char *http_request_parameter(const struct http_request *request, const char *name) {
    return http_url_parameter(&request->url, name);
}

const char *http_request_url_token(const struct http_request *request) {
    return request->url.token;
}

const char *http_request_body(const struct http_request *request, size_t *size) {
    *size = request->body.size;
    return request->body.data ? request->body.data : "";
}

void http_request_drop_body(struct http_request *request) {
    atomic_fetch_sub(&request->server->body_bytes, request->body.size);
    buffer_free(&request->body);
}

enum http_body http_request_body_kind(const struct http_request *request) {
    return request->body_kind;
}

bool http_request_is_gzipped(const struct http_request *request) {
    return request->gzipped;
}

static const char *host_of(const struct http_request *request) {
    return request->url.host ? request->url.host : http_request_header(request, MHD_HTTP_HEADER_HOST);
}

bool http_request_origin_trusted(const struct http_request *request) {
    const char *origin = http_request_header(request, MHD_HTTP_HEADER_ORIGIN);
    return cors_is_own(origin, host_of(request), http_request_is_secure(request)) ||
           cors_allows(http_server_settings(request->server), origin);
}

static bool is_localhost(const char *host) {
    static const char name[] = "localhost";
    return strncasecmp(host, name, sizeof name - 1) == 0 && strchr(":", host[sizeof name - 1]);
}

bool http_request_host_trusted(const struct http_request *request) {
    struct http_address address;
    const char *host = host_of(request);
    return !host || is_localhost(host) || http_address_parse(host, strlen(host), true, &address) ||
           cors_names(http_server_settings(request->server), host);
}

const struct http_address *http_request_address(const struct http_request *request) {
    return &request->client->address;
}

const char *http_request_address_text(const struct http_request *request) {
    return request->client->text;
}

bool http_request_is_secure(const struct http_request *request) {
    return request->secure;
}

int64_t http_request_arrival(const struct http_request *request) {
    return request->arrived;
}
