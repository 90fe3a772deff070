/* What libmicrohttpd does not see, or looks at too often, with an epoll of our own beside its own:
 *
 * - The end of what a client sends. If it comes together with what was sent last, libmicrohttpd does not see it, and would
 *   keep the connection until its deadline.
 * - TLS handshakes, and heads of chunks that find no room in its buffer: it tries these again in each of its turns. So where
 *   there may be one, a connection is suspended until its client sends something; and a chunk that gets no further although
 *   something came is refused.
 *
 * For the files of http/ only; all of it is the event thread's alone, and takes no lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct http_connection;
struct http_server;

LIST_HEAD(watch_list, http_connection);

struct watch {
    int epoll;                   /* -1: not open */
    struct watch_list ended;     /* the client will send no more */
    struct watch_list tried;     /* what libmicrohttpd may look at again and again */
    struct watch_list suspended; /* of these, those that wait for their client */
};

/* Part of a connection. */
struct watched {
    bool has_ended;
    bool is_tried; /* or suspended */
    bool is_suspended;
    bool is_chunked;
    uint64_t stood_at; /* as many bytes were read at the last look, if there were more; else UINT64_MAX */
    int stood;         /* turns since then in which there were no more */
    LIST_ENTRY(http_connection) ended;
    LIST_ENTRY(http_connection) tried;
};

/* False when there is no descriptor to be had. */
bool watch_open(struct watch *watch);
void watch_close(struct watch *watch);

/* From a connection's first moment to its last one, before its socket is closed. */
void watch_begin(struct http_connection *connection);
void watch_end(struct http_connection *connection);

/* A body in chunks begins. */
void watch_chunks(struct http_connection *connection);

/* Has libmicrohttpd see what happens to the connection next. */
void watch_release(struct http_connection *connection);

/* After each turn of libmicrohttpd: does all of that. Once the server is closing nothing stays suspended. */
void watch_look(struct http_server *server);
