#include "http/dispatch.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/check.h"
#include "http/cors.h"
#include "http/exchange.h"
#include "http/server_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    TARGET_LIMIT = 4096,
    /* A refused body is read up to here, so that its sender gets to read the reply; a longer one is cut off. */
    DISCARD_LIMIT = 16 * 1024 * 1024,
    /* A body up to here is never refused for large ones that take all memory there is for bodies: there is an eighth
     * more for such. */
    SMALL_BODY = 64 * 1024,
    SMALL_BODIES_SHARE = 8,
    /* What one address may take of that memory: a quarter, or one body. */
    ADDRESS_SHARE = 4,
    /* Nothing that we serve has a longer word in its path, or as its method, than a UUID; a token that strayed there has. */
    LOGGED_WORD = 36,
};

/* ---- refusals */

static void refuse(struct http_request *request, int status, const char *sentence) {
    http_reply_error(request, status, sentence);
    request->phase = HTTP_PHASE_DISCARD;
}

static void refuse_and_close(struct http_request *request, int status, const char *sentence) {
    refuse(request, status, sentence);
    request->reply.close = true;
}

/* ---- the head */

static bool refuse_target(struct http_request *request) {
    if (strlen(request->target) > TARGET_LIMIT) {
        refuse(request, MHD_HTTP_URI_TOO_LONG, "The URL is too long");
        return true;
    }
    switch (http_url_parse(&request->url, request->target)) {
    case HTTP_URL_OK: return false;
    case HTTP_URL_TOO_LONG: refuse(request, MHD_HTTP_NOT_FOUND, "No such route"); return true;
    case HTTP_URL_MALFORMED:
        refuse_and_close(request, MHD_HTTP_BAD_REQUEST, "The URL is not properly encoded");
        return true;
    case HTTP_URL_NO_MEMORY: break;
    }
    refuse(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "Out of memory");
    return true;
}

/* `url`: NULL for the server as a whole. */
static void answer_options(struct http_request *request, const struct http_url *url) {
    struct buffer methods = {0};
    http_router_methods(request->server->router, url, &methods);
    http_reply_empty(request, MHD_HTTP_NO_CONTENT);
    request->phase = HTTP_PHASE_DISCARD;
    if (!methods.failed) {
        http_reply_header(request, MHD_HTTP_HEADER_ALLOW, methods.data);
        cors_preflight(request, methods.data);
    }
    buffer_free(&methods);
}

static void refuse_method(struct http_request *request) {
    struct buffer methods = {0};
    http_router_methods(request->server->router, &request->url, &methods);
    refuse(request, MHD_HTTP_METHOD_NOT_ALLOWED, "This route does not know the method");
    if (!methods.failed)
        http_reply_header(request, MHD_HTTP_HEADER_ALLOW, methods.data);
    buffer_free(&methods);
}

/* True unless a route was found. */
static bool refuse_route(struct http_request *request) {
    switch (http_router_find(request->server->router, request->method, &request->url, &request->match)) {
    case HTTP_FOUND: return false;
    case HTTP_NO_PATH: refuse(request, MHD_HTTP_NOT_FOUND, "No such route"); return true;
    case HTTP_OPTIONS: answer_options(request, &request->url); return true;
    case HTTP_NO_METHOD: break;
    }
    refuse_method(request);
    return true;
}

static bool media_type_is(const char *header, const char *type) {
    size_t length = strlen(type);
    return strncasecmp(header, type, length) == 0 && strchr("; \t", header[length]);
}

/* Clients that send JSON without saying so are understood. */
static enum http_body kind_of(const char *type) {
    static const struct {
        const char *type;
        enum http_body kind;
    } kinds[] = {
        {HTTP_JSON, HTTP_BODY_JSON},
        {"application/x-ndjson", HTTP_BODY_NDJSON},
        {"application/x-www-form-urlencoded", HTTP_BODY_FORM},
    };
    if (!type || !*type)
        return HTTP_BODY_JSON;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (media_type_is(type, kinds[i].type))
            return kinds[i].kind;
    return HTTP_BODY_NONE;
}

static bool is_gzip(const char *coding) {
    return coding && (strcasecmp(coding, "gzip") == 0 || strcasecmp(coding, "x-gzip") == 0);
}

static bool refuse_type(struct http_request *request) {
    unsigned takes = request->match.route->body;
    if (takes == HTTP_BODY_NONE)
        return false;
    const char *coding = http_request_header(request, MHD_HTTP_HEADER_CONTENT_ENCODING);
    request->body_kind = kind_of(http_request_header(request, MHD_HTTP_HEADER_CONTENT_TYPE));
    request->gzipped = is_gzip(coding);
    if (!(takes & request->body_kind)) {
        refuse(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
               takes & HTTP_BODY_NDJSON ? "The body must be application/json or application/x-ndjson"
                                        : "The body must be application/json");
        return true;
    }
    if (request->gzipped ? !(takes & HTTP_BODY_GZIP)
                         : coding && *coding && strcasecmp(coding, "identity") != 0) {
        refuse(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
               takes & HTTP_BODY_GZIP ? "The body must be plain or gzip" : "The body must not be encoded");
        return true;
    }
    return false;
}

static size_t declared_length(const struct http_request *request) {
    const char *length = http_request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return length ? (size_t)strtoull(length, NULL, 10) : 0;
}

static bool refuse_length(struct http_request *request) {
    const struct http_route *route = request->match.route;
    if (route->body == HTTP_BODY_NONE || declared_length(request) <= route->body_limit)
        return false;
    refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "The body is too large");
    return true;
}

/* OPTIONS * asks about the server as a whole. */
static bool answer_asterisk(struct http_request *request) {
    if (strcmp(request->target, "*") != 0 || strcmp(request->method, MHD_HTTP_METHOD_OPTIONS) != 0)
        return false;
    answer_options(request, NULL);
    return true;
}

static bool refuse_by_limit(struct http_request *request) {
    const struct http_route *route = request->match.route;
    if (!route->refuse || !route->refuse(request, request->server->inline_context))
        return false;
    request->phase = HTTP_PHASE_DISCARD;
    return true;
}

/* Behind a proxy that is not configured, all clients seem to be one, and share one client's limits. */
static void warn_of_proxy(const struct http_request *request) {
    static atomic_bool warned;
    if (atomic_load(&warned) || !http_request_header(request, "X-Forwarded-For"))
        return;
    atomic_store(&warned, true);
    log_warn("X-Forwarded-For is not looked at: if it comes from a proxy of yours, say --trusted-proxy",
             "peer", request->client->text);
}

static void find_client(struct http_request *request) {
    const struct http_connection *from = request->from;
    request->client = &from->peer;
    request->secure = http_server_settings(request->server)->tls != NULL;
    if (!from->is_proxy) {
        warn_of_proxy(request);
        return;
    }
    forwarded_read(request, &from->peer.address, &request->forwarded, &request->secure);
    request->client = &request->forwarded;
}

static bool refuse_head(struct http_request *request, const char *target, const char *version) {
    const char *malformed = check_headers(request, target, version);
    if (malformed) {
        refuse_and_close(request, MHD_HTTP_BAD_REQUEST, malformed);
        return true;
    }
    return answer_asterisk(request) || refuse_target(request) || refuse_route(request) ||
           refuse_length(request) || refuse_type(request) || refuse_by_limit(request);
}

/* A client that waits for our word before it sends the body gets the refusal at once; so does one that would send too
 * much to wait for, and one whose body's end is unclear. libmicrohttpd closes the connection then. */
static bool refuse_without_body(const struct http_request *request) {
    const char *expect = http_request_header(request, MHD_HTTP_HEADER_EXPECT);
    return expect || request->reply.close || declared_length(request) > DISCARD_LIMIT;
}

static enum MHD_Result take_head(struct http_request *request, const char *method, const char *target,
                                 const char *version) {
    request->method = method;
    request->phase = HTTP_PHASE_BODY;
    request->from->requests++;
    connection_enter(request->from, CONNECTION_BODY);
    http_server_count(request->server, 1);
    request->counted = true;
    find_client(request);
    if (refuse_head(request, target, version) && refuse_without_body(request))
        return http_reply_send(request);
    if (http_request_header(request, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        watch_chunks(request->from);
    return MHD_YES;
}

/* ---- the body */

/* Whether there is memory for so many bytes more. */
static bool has_room(const struct http_request *request, size_t size) {
    const struct http_server *server = request->server;
    size_t all = server->settings->body_memory, share = all / ADDRESS_SHARE;
    size_t largest = request->match.route->body_limit;
    if (request->body.size + size <= SMALL_BODY)
        all += all / SMALL_BODIES_SHARE;
    if (atomic_load(&server->body_bytes) + size > all)
        return false;
    return request->from->is_proxy ||
           request->from->source->body_bytes + size <= (share > largest ? share : largest);
}

/* The address takes no more of that memory for this request. */
static void discharge_address(struct http_request *request) {
    request->from->source->body_bytes -= request->address_bytes;
    request->address_bytes = 0;
}

/* What has come is of no use: its sender may go on for long. */
static void refuse_body(struct http_request *request, int status, const char *sentence) {
    discharge_address(request);
    http_request_drop_body(request);
    refuse(request, status, sentence);
}

static void keep_body(struct http_request *request, const char *data, size_t size) {
    if (request->body.size + size > request->match.route->body_limit) {
        refuse_body(request, MHD_HTTP_CONTENT_TOO_LARGE, "The body is too large");
        return;
    }
    if (!has_room(request, size)) {
        refuse_body(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Too much to do: try again");
        return;
    }
    size_t before = request->body.size;
    buffer_append(&request->body, data, size);
    size_t more = request->body.size - before;
    atomic_fetch_add(&request->server->body_bytes, more);
    request->from->source->body_bytes += more;
    request->address_bytes += more;
}

static enum MHD_Result take_body(struct http_request *request, const char *data, size_t *size) {
    const struct http_route *route = request->match.route;
    if (request->phase == HTTP_PHASE_BODY && route->body != HTTP_BODY_NONE)
        keep_body(request, data, *size);
    else
        request->discarded += *size;
    *size = 0;
    return request->discarded > DISCARD_LIMIT ? MHD_NO : MHD_YES;
}

/* ---- the handler */

static enum MHD_Result handle_inline(struct http_request *request) {
    request->match.route->handle(request, request->server->inline_context);
    http_reply_finish(request);
    return http_reply_send(request);
}

/* True if the request is answered, or will be by another thread. */
static bool handle_at_once(struct http_request *request, enum MHD_Result *result) {
    const struct http_route *route = request->match.route;
    if (!route->try_at_once || !route->try_at_once(request, request->server->inline_context))
        return false;
    *result = MHD_YES;
    if (!request->given_away) {
        http_reply_finish(request);
        *result = http_reply_send(request);
    }
    return true;
}

/* The place in the queue is taken first, and the connection suspended before a worker can know of the request. */
static enum MHD_Result handle(struct http_request *request) {
    const struct http_route *route = request->match.route;
    request->phase = HTTP_PHASE_HANDLED;
    request->arrived = clock_monotonic();
    connection_enter(request->from, CONNECTION_HANDLED);
    if (request->body.failed) {
        http_reply_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "Out of memory");
        return http_reply_send(request);
    }
    if (route->lane == HTTP_LANE_INLINE)
        return handle_inline(request);
    enum MHD_Result result;
    if (handle_at_once(request, &result))
        return result;
    struct lane *lane = request->server->lanes[route->lane - 1];
    if (!lane_reserve(lane)) {
        http_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Too much to do: try again");
        return http_reply_send(request);
    }
    atomic_fetch_add(&request->holders, 1);
    request->on_lane = true;
    MHD_suspend_connection(request->connection);
    const struct http_address client = http_address_counted(http_request_address(request));
    struct http_server *server = request->server;
    int64_t late_at = deadline_in(&server->deadlines, deadline_clock(), server->settings->queue_timeout);
    lane_push(lane, request, &client, late_at);
    return MHD_YES;
}

/* A connection that is suspended goes on as it was. If it was being read, it is read again first, and the end of a client
 * that will send no more (SHUT_WR) is taken for that of the connection. libmicrohttpd stops reading when it has asked for a
 * reply and got none: so we let it ask twice. */
static bool settle(struct http_request *request) {
    if (request->settled || request->match.route->lane == HTTP_LANE_INLINE)
        return true;
    request->settled = true;
    connection_enter(request->from, CONNECTION_HANDLED);
    return false;
}

static void answer_late(struct http_request *request) {
    http_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Too much to do: try again");
    http_reply_finish(request);
    http_server_resume(request->server, request->connection);
    http_request_release(request);
}

void dispatch_expire(struct http_server *server, int64_t now) {
    for (int i = 0; i < server->lane_count; i++)
        for (void *late; (late = lane_take_late(server->lanes[i], now));)
            answer_late(late);
}

void dispatch_work(void *job, void *context) {
    struct http_request *request = job;
    if (atomic_load(&request->server->closing))
        http_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "The server is ending: try again");
    else
        request->match.route->handle(request, context);
    if (!request->given_away) {
        http_reply_finish(request);
        http_server_resume(request->server, request->connection);
    }
    http_request_release(request);
}

/* ---- libmicrohttpd's callbacks */

void *dispatch_begin(void *context, const char *target, struct MHD_Connection *connection) {
    struct http_connection *from = connection_of(connection);
    struct http_request *request = from ? http_request_new(context, target) : NULL;
    if (!request)
        return NULL;
    request->connection = connection;
    request->from = from;
    from->request = request;
    connection_enter(from, CONNECTION_HEADERS);
    return request;
}

enum MHD_Result dispatch(void *context, struct MHD_Connection *connection, const char *url,
                         const char *method, const char *version, const char *upload, size_t *upload_size,
                         void **held) {
    struct http_request *request = *held;
    (void)context;
    (void)connection;
    if (!request || request->from->turned_away)
        return MHD_NO;
    http_loop_progress(&request->server->loop);
    if (request->phase == HTTP_PHASE_HEAD)
        return take_head(request, method, url, version);
    if (*upload_size)
        return take_body(request, upload, upload_size);
    if (request->phase == HTTP_PHASE_BODY)
        return settle(request) ? handle(request) : MHD_YES;
    return http_reply_send(request);
}

static const char *logged(const char *word) {
    return strlen(word) > LOGGED_WORD ? "..." : word;
}

static void log_path(const struct http_url *url, char *out, size_t room) {
    size_t used = 0;
    for (size_t i = 0; i < url->segment_count && used < room; i++) {
        int written = snprintf(out + used, room - used, "/%s", logged(url->segments[i]));
        used += written > 0 ? (size_t)written : 0;
    }
    if (url->segment_count == 0)
        snprintf(out, room, "/");
}

static void log_access(const struct http_request *request, int64_t took) {
    const struct http_route *route = request->match.route;
    bool is_routine = route && route->probe && request->sent_status == MHD_HTTP_OK;
    enum log_level level = is_routine ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
    if (!log_enabled(level))
        return;
    char path[256], milliseconds[32];
    log_path(&request->url, path, sizeof path);
    snprintf(milliseconds, sizeof milliseconds, "%.1f", (double)took / 1000);
    log_write(level, "request", "method", logged(request->method), "path", path, "route",
              route ? route->pattern : NULL, "status", log_number(request->sent_status).text, "ms",
              milliseconds, "client", request->client->text, (const char *)0);
}

/* A request without a method never had its headers read. */
static void account(const struct http_request *request) {
    if (!request->method)
        return;
    int64_t took = clock_monotonic() - request->started;
    http_metrics_count(request->server->metrics, request->match.route, request->sent_status, took);
    log_access(request, took);
}

/* The connection lets go of it. */
static void let_go(struct http_request *request) {
    request->from->request = NULL;
    discharge_address(request);
    connection_enter(request->from, CONNECTION_IDLE);
    if (request->counted)
        http_server_count(request->server, -1);
    if (request->reply.stream)
        http_stream_abandon(request->reply.stream);
    http_request_release(request);
}

void dispatch_completed(void *context, struct MHD_Connection *connection, void **held,
                        enum MHD_RequestTerminationCode how) {
    struct http_request *request = *held;
    (void)context;
    (void)connection;
    (void)how;
    if (!request)
        return;
    account(request);
    let_go(request);
    *held = NULL;
}

void dispatch_lost(struct http_request *request) {
    let_go(request);
}
