/* A request and its reply, as the files of http/ know them. For these files only. */
#pragma once

#include "base/buffer.h"
#include "http/forwarded.h"
#include "http/reply.h"
#include "http/route.h"
#include "http/server.h"

#include <microhttpd.h>
#include <stdatomic.h>

/* Where a request stands, on the event thread. */
enum http_phase {
    HTTP_PHASE_HEAD, /* the request line is read, the headers not yet */
    HTTP_PHASE_BODY, /* the body is kept */
    HTTP_PHASE_DISCARD, /* the reply is known; the body is read and forgotten, so that the client reads our reply */
    HTTP_PHASE_HANDLED, /* on a lane or deferred, or back from there */
    HTTP_PHASE_ANSWERED,
};

enum { HTTP_REPLY_HEADERS = 8 };

struct http_reply {
    int status;
    const char *type;
    struct buffer body;
    const void *fixed; /* instead of `body`, when set */
    size_t fixed_size;
    struct http_stream *stream; /* instead of both; NULL again once libmicrohttpd has it */
    bool compressed;
    bool close; /* the connection, afterwards */
    struct {
        const char *name;
        char *value;
    } headers[HTTP_REPLY_HEADERS];
    size_t header_count;
};

struct http_request {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct http_connection *from; /* the same, as we know it; the event thread's */
    /* The connection holds it until libmicrohttpd has completed it; a lane while it works; who deferred it until it is
     * answered. */
    atomic_int holders;
    enum http_phase phase;
    const char *method;
    char *target; /* as it stands in the request line; may contain a token: never logged */
    struct http_url url;
    struct http_match match;
    bool counted;                     /* among the server's active requests */
    const struct http_client *client; /* the peer, or whom it comes for; known once the headers are read */
    struct http_client forwarded;
    bool secure; /* it came over TLS */
    enum http_body body_kind;
    bool gzipped;
    /* The handler left a stream, or will have the request answered by another thread: the event thread may have gone on,
     * and the handler's thread must not look. */
    bool given_away;
    bool on_lane;
    bool settled; /* see dispatch.c */
    struct buffer body;
    size_t address_bytes; /* of the body, counted for the client's address */
    size_t discarded;
    int64_t started;
    int64_t arrived;
    int sent_status;
    struct http_reply reply;
};

struct http_request *http_request_new(struct http_server *server, const char *target);
void http_request_release(struct http_request *request);

/* Compresses the reply if the client likes that. On the handler's thread. */
void http_reply_finish(struct http_request *request);

/* Hands the reply to libmicrohttpd. On the event thread. */
enum MHD_Result http_reply_send(struct http_request *request);
