/* A client's connection: who it is, in which phase of its request, and until when that may last. For the files of http/
 * only; all of it is the event thread's alone, and takes no lock.
 *
 * libmicrohttpd's own timeout starts anew with each byte, and it calls nobody before the headers end. So each phase has a
 * deadline here (deadline.h), whatever trickles in. A connection beyond its deadline is told so where it still can be
 * (408), and its socket shut down; libmicrohttpd then sees the end of the connection and closes it. */
#pragma once

#include "base/metric.h"
#include "http/deadline.h"
#include "http/forwarded.h"
#include "http/source.h"
#include "http/watch.h"

#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_request;
struct http_server;

enum connection_phase {
    CONNECTION_NEW,     /* accepted; the first request line is not complete */
    CONNECTION_IDLE,    /* between two requests, up to the end of the next one's first line */
    CONNECTION_HEADERS, /* the rest of the head */
    CONNECTION_BODY,
    CONNECTION_HANDLED, /* on a lane or deferred: lanes and statements have deadlines of their own */
    CONNECTION_SENDING, /* the reply is being taken */
    CONNECTION_PHASES,
};

struct http_connection {
    struct deadline deadline; /* the first member: found by it */
    struct http_server *server;
    struct MHD_Connection *handle;
    struct source *source;
    struct http_request *request; /* that has begun, or NULL */
    enum connection_phase phase;
    unsigned requests;
    uint64_t moved[CONNECTION_PHASES]; /* bytes that had come or gone at the last look in each phase */
    int socket;
    bool turned_away; /* the socket is shut down: whatever still comes from it counts no more */
    struct watched watched;
    bool is_proxy; /* a configured one: it comes for many, and tells for whom */
    struct http_client peer;
    struct tls_credentials *credentials; /* these two are NULL with plain HTTP */
    gnutls_session_t session;
};

/* Why connections were turned away. */
struct connection_figures {
    struct metric_counter over_limit;
    struct metric_counter over_address_limit;
    struct metric_counter late[CONNECTION_PHASES];
};

/* libmicrohttpd's callback: a connection begins or ends. The context is the server, what is kept a struct
 * http_connection. */
void connection_notice(void *context, struct MHD_Connection *handle, void **kept,
                       enum MHD_ConnectionNotificationCode what);

/* NULL if there was no memory for it: such a connection is of no use. */
struct http_connection *connection_of(struct MHD_Connection *handle);

/* From now on the phase's deadline counts. */
void connection_enter(struct http_connection *connection, enum connection_phase phase);

/* Whether this is the last request that the client may make. */
bool connection_is_used_up(const struct http_connection *connection);

/* Whether all depends on what the client sends next. */
bool connection_awaits_client(const struct http_connection *connection);

/* Bytes that the kernel has received; 0 if it does not tell. */
uint64_t connection_bytes_received(const struct http_connection *connection);

/* Answers the request that has begun, past libmicrohttpd, and turns the client away. `head` is the status line and headers,
 * from the status on. */
void connection_refuse(struct http_connection *connection, int status, const char *head,
                       const char *sentence);

/* Shuts its socket down. libmicrohttpd will see that, and close it. */
void connection_turn_away(struct http_connection *connection);

/* Turns away who is beyond a deadline at that second. */
void connection_sweep(struct http_server *server, int64_t now);
