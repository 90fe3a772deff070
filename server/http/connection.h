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

#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

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
    struct source *source;
    struct http_request *request; /* that has begun, or NULL */
    enum connection_phase phase;
    unsigned requests;
    uint64_t moved[CONNECTION_PHASES]; /* bytes that had come or gone at the last look in each phase */
    int socket;
    bool turned_away; /* the socket is shut down: whatever still comes from it counts no more */
    bool has_ended;   /* the client will send no more */
    LIST_ENTRY(http_connection) others_ended;
    bool is_proxy; /* a configured one: it comes for many, and tells for whom */
    struct http_client peer;
    struct tls_credentials *credentials; /* these two are NULL with plain HTTP */
    gnutls_session_t session;
};

/* Those whose client will send no more. libmicrohttpd does not see that if it came together with what was sent last: it
 * would keep such a connection until its deadline. */
struct connection_ends {
    int epoll; /* tells who; -1: not open */
    LIST_HEAD(connection_list, http_connection) connections;
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

/* False when there is no descriptor to be had. */
bool connection_ends_open(struct connection_ends *ends);
void connection_ends_close(struct connection_ends *ends);

/* Closes the connections of those who will send no more, and have no answer to wait for. After each turn of libmicrohttpd. */
void connection_see_ends(struct http_server *server);

/* Turns away who is beyond a deadline at that second. */
void connection_sweep(struct http_server *server, int64_t now);
