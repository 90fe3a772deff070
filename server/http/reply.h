/* What a handler answers. The last reply left counts; one that could not be made for lack of memory becomes a 500.
 * Every function may be called from the handler's thread only. */
#pragma once

#include "base/buffer.h"
#include "http/request.h"
#include "http/stream.h"

#define HTTP_JSON "application/json"
#define HTTP_HTML "text/html; charset=utf-8"

/* {"detail": sentence}. 401 carries WWW-Authenticate, 503 Retry-After: 1. */
void http_reply_error(struct http_request *request, int status, const char *sentence);

/* 429, with the seconds until the client may try again as Retry-After. */
void http_reply_too_many(struct http_request *request, const char *sentence, int seconds);

/* Takes the bytes out of `body`. */
void http_reply_buffer(struct http_request *request, int status, const char *type, struct buffer *body);

/* Takes ownership of the text. */
void http_reply_json(struct http_request *request, int status, char *text);

/* The bytes must live as long as the server. */
void http_reply_static(struct http_request *request, int status, const char *type, const void *data,
                       size_t size);

void http_reply_empty(struct http_request *request, int status);

/* Added to whatever reply is left. The value is copied. */
void http_reply_header(struct http_request *request, const char *name, const char *value);

/* Begins a reply with status 200 whose length is not known; end it with http_stream_end. NULL when out of memory: leave
 * another reply then. */
struct http_stream *http_reply_stream(struct http_request *request, const char *type);
