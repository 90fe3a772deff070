#include "http/reply.h"

#include "base/json.h"
#include "http/compress.h"
#include "http/connection.h"
#include "http/cors.h"
#include "http/exchange.h"
#include "http/request.h"
#include "http/safety.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Below this a gzip header and the work are not worth it. */
enum { COMPRESS_FROM = 1024 };

static const char out_of_memory[] = "{\"detail\": \"Out of memory\"}";

static struct http_reply *begin(struct http_request *request, int status, const char *type) {
    struct http_reply *reply = &request->reply;
    reply->status = status;
    reply->type = type;
    reply->fixed = NULL;
    reply->fixed_size = 0;
    buffer_free(&reply->body);
    return reply;
}

void http_reply_static(struct http_request *request, int status, const char *type, const void *data,
                       size_t size) {
    struct http_reply *reply = begin(request, status, type);
    reply->fixed = data;
    reply->fixed_size = size;
}

static void reply_no_memory(struct http_request *request) {
    http_reply_static(request, MHD_HTTP_INTERNAL_SERVER_ERROR, HTTP_JSON, out_of_memory,
                      sizeof out_of_memory - 1);
}

void http_reply_buffer(struct http_request *request, int status, const char *type, struct buffer *body) {
    if (body->failed) {
        buffer_free(body);
        reply_no_memory(request);
        return;
    }
    struct http_reply *reply = begin(request, status, type);
    reply->body = *body;
    *body = (struct buffer){0};
}

void http_reply_json(struct http_request *request, int status, char *text) {
    size_t size = text ? strlen(text) : 0;
    struct buffer body = {.data = text, .size = size, .capacity = size, .failed = !text};
    http_reply_buffer(request, status, HTTP_JSON, &body);
}

void http_reply_empty(struct http_request *request, int status) {
    http_reply_static(request, status, NULL, "", 0);
}

void http_reply_error(struct http_request *request, int status, const char *sentence) {
    http_reply_json(request, status, json_text(json_pack("{s:s}", "detail", sentence)));
    if (status == MHD_HTTP_UNAUTHORIZED)
        http_reply_header(request, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        http_reply_header(request, MHD_HTTP_HEADER_RETRY_AFTER, "1");
}

void http_reply_too_many(struct http_request *request, const char *sentence, int seconds) {
    char text[16];
    snprintf(text, sizeof text, "%d", seconds);
    http_reply_error(request, MHD_HTTP_TOO_MANY_REQUESTS, sentence);
    http_reply_header(request, MHD_HTTP_HEADER_RETRY_AFTER, text);
}

void http_reply_header(struct http_request *request, const char *name, const char *value) {
    struct http_reply *reply = &request->reply;
    char *copy = strdup(value);
    if (!copy || reply->header_count == HTTP_REPLY_HEADERS) {
        free(copy);
        reply_no_memory(request);
        return;
    }
    reply->headers[reply->header_count].name = name;
    reply->headers[reply->header_count].value = copy;
    reply->header_count++;
}

static bool wants_gzip(const struct http_request *request) {
    return compress_accepted(http_request_header(request, MHD_HTTP_HEADER_ACCEPT_ENCODING));
}

void http_reply_finish(struct http_request *request) {
    struct http_reply *reply = &request->reply;
    if (!reply->status)
        reply_no_memory(request);
    const void *data = reply->fixed ? reply->fixed : reply->body.data;
    size_t size = reply->fixed ? reply->fixed_size : reply->body.size;
    if (size <= COMPRESS_FROM || !wants_gzip(request))
        return;
    struct buffer small = {0};
    if (!compress_whole(data, size, &small)) {
        buffer_free(&small);
        return; /* The plain one serves as well. */
    }
    http_reply_buffer(request, reply->status, reply->type, &small);
    reply->compressed = !request->reply.fixed;
}

struct http_stream *http_reply_stream(struct http_request *request, const char *type) {
    bool compressed = wants_gzip(request);
    struct http_stream *stream = http_server_stream(request->server, request->connection, compressed);
    if (!stream)
        return NULL;
    begin(request, MHD_HTTP_OK, type);
    request->reply.stream = stream;
    request->reply.compressed = compressed;
    request->given_away = true;
    http_server_resume(request->server, request->connection);
    return stream;
}

/* ---- on the event thread */

static struct MHD_Response *response_of(struct http_reply *reply) {
    if (reply->stream) {
        struct http_stream *stream = reply->stream;
        reply->stream = NULL;
        return http_stream_response(stream);
    }
    if (reply->fixed)
        return MHD_create_response_from_buffer(reply->fixed_size, (void *)(uintptr_t)reply->fixed,
                                               MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply->body.size, reply->body.data, MHD_RESPMEM_MUST_FREE);
    if (response)
        reply->body = (struct buffer){0};
    return response;
}

/* Where a chunk ends, a proxy before us may see otherwise than libmicrohttpd, which takes a bare LF for a line's end: what
 * stands behind a chunked body is never read. */
static bool is_last(const struct http_request *request) {
    return request->reply.close || http_server_is_draining(request->server) ||
           http_request_header(request, MHD_HTTP_HEADER_TRANSFER_ENCODING) ||
           connection_is_used_up(request->from);
}

static bool add_headers(struct MHD_Response *response, struct http_request *request) {
    struct http_reply *reply = &request->reply;
    bool well = true;
    for (size_t i = 0; i < reply->header_count; i++)
        well &= MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value) == MHD_YES;
    if (reply->type)
        well &= MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type) == MHD_YES;
    if (reply->compressed)
        well &= MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip") == MHD_YES;
    if (is_last(request))
        well &= MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
    well &= MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Accept-Encoding, Origin") == MHD_YES;
    return safety_headers(response, request) && well;
}

enum MHD_Result http_reply_send(struct http_request *request) {
    request->phase = HTTP_PHASE_ANSWERED;
    connection_enter(request->from, CONNECTION_SENDING);
    cors_headers(request);
    struct MHD_Response *response = response_of(&request->reply);
    if (!response)
        return MHD_NO;
    enum MHD_Result result = MHD_NO;
    if (add_headers(response, request)) {
        request->sent_status = request->reply.status;
        result = MHD_queue_response(request->connection, (unsigned)request->reply.status, response);
    }
    MHD_destroy_response(response);
    return result;
}
