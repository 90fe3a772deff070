/* An answer of unknown length, between a worker that makes it and the event thread that sends it. A bounded buffer lies
 * between: the worker waits while it is full, and the connection is suspended while it is empty, so that the
 * event thread never waits and memory does not grow with the answer.
 *
 * Two hold it: the worker (until http_stream_end) and the connection's side (the response that http_stream_response makes,
 * until libmicrohttpd has let go of it, or http_stream_abandon). */
#pragma once

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

struct http_server;
struct http_stream;

/* NULL when out of memory. */
struct http_stream *http_stream_new(struct http_server *server, struct MHD_Connection *connection,
                                    bool compressed);

/* Takes over the connection's hold. NULL when out of memory. */
struct MHD_Response *http_stream_response(struct http_stream *stream);

/* Instead of that: there is no connection any more. */
void http_stream_abandon(struct http_stream *stream);

/* Waits for room; who reads too slowly is cut off meanwhile (http/connection.h). False: the client is gone, the server
 * ends, or memory ran out; whatever follows is ignored. */
bool http_stream_write(struct http_stream *stream, const void *data, size_t size);

/* The worker lets go. Unless `complete`, the connection is cut, so that the client sees that its answer is not whole. */
void http_stream_end(struct http_stream *stream, bool complete);
