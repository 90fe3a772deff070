/* An epoll of our own beside libmicrohttpd's, for what that is no good at:
 *
 * - The end of what a client sends. If it comes together with what was sent last, libmicrohttpd does not see it, and would
 *   keep the connection until its deadline.
 * - TLS handshakes. libmicrohttpd tries each that is not finished again in each of its turns. So one that waits for its client
 *   is suspended until that sends something.
 *
 * For the files of http/ only; all of it is the event thread's alone, and takes no lock. */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

struct http_connection;
struct http_server;

LIST_HEAD(watch_list, http_connection);

struct watch {
    int epoll;                    /* -1: not open */
    struct watch_list ended;      /* the client will send no more */
    struct watch_list handshakes; /* under TLS: no request has begun */
    struct watch_list suspended;  /* of these, those that wait for their client */
};

/* Part of a connection. */
struct watched {
    bool has_ended;
    bool shakes_hands;
    bool is_suspended;
    LIST_ENTRY(http_connection) ended;
    LIST_ENTRY(http_connection) handshakes; /* or suspended */
};

/* False when there is no descriptor to be had. */
bool watch_open(struct watch *watch);
void watch_close(struct watch *watch);

/* From a connection's first moment to its last one, before its socket is closed. */
void watch_begin(struct http_connection *connection);
void watch_end(struct http_connection *connection);

/* Has libmicrohttpd see what happens to the connection next. */
void watch_release(struct http_connection *connection);

/* After each turn of libmicrohttpd: closes the connections of those who will send no more, and have no answer to wait for;
 * suspends handshakes, or goes on with them. Once the server is closing none stays suspended. */
void watch_look(struct http_server *server);
