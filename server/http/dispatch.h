/* The way of a request on the event thread: from its headers to a lane or to a refusal, and back to its reply. */
#pragma once

#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

struct http_request;
struct http_server;

/* libmicrohttpd's callbacks; the context is the server. */
void *dispatch_begin(void *context, const char *target, struct MHD_Connection *connection);
enum MHD_Result dispatch(void *context, struct MHD_Connection *connection, const char *url,
                         const char *method, const char *version, const char *upload, size_t *upload_size,
                         void **request);
void dispatch_completed(void *context, struct MHD_Connection *connection, void **request,
                        enum MHD_RequestTerminationCode how);

/* The connection is gone, and libmicrohttpd has not completed this request of it: so it is when no epoll takes the socket any
 * more. What it had read is gone as well. */
void dispatch_lost(struct http_request *request);

/* Answers 503 to requests that have waited too long for a worker at that second of the wheel (http/deadline.h). On the event
 * thread. */
void dispatch_expire(struct http_server *server, int64_t now);

/* The work of every lane: handles a request and sends its connection back to the event thread. */
void dispatch_work(void *request, void *lane_context);
