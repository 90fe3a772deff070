/* The event thread: it waits for libmicrohttpd's sockets, runs it, and then looks around for what is due.
 *
 * A loop of our own, since neither of libmicrohttpd's will do: its poll loop visits every connection, however idle, for
 * each event of one; its epoll loop waits again before it serves exactly 128 events. MHD_run, which never waits, does
 * not. */
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct http_loop {
    struct MHD_Daemon *daemon;
    void (*look_around)(void *context); /* on the event thread: after each turn, and at least once a second */
    void *context;
    int epoll;   /* libmicrohttpd's */
    int wake;    /* an eventfd */
    int watch;   /* set by the caller: is waited for as well */
    bool told;   /* whether that may be readable in this turn */
    int hurried; /* turns in a row without a pause, and without progress */
    bool rested; /* whether they became too many before this turn */
    atomic_bool woken;
    atomic_bool quiescing;
    atomic_bool ending;
    pthread_t thread;
};

/* `daemon` was started with MHD_USE_EPOLL and without a thread. False (with nothing left behind) when there is no
 * descriptor or thread to be had. */
bool http_loop_start(struct http_loop *loop, struct MHD_Daemon *daemon, void (*look_around)(void *context),
                     void *context);

/* Sends a suspended connection back to the event thread. From any thread. */
void http_loop_resume(struct http_loop *loop, struct MHD_Connection *connection);

/* Says that something has moved: somebody was heard, or taken an answer from. On the event thread.
 *
 * libmicrohttpd may want its next turn at once although nothing can move, as while a TLS handshake has something to send that
 * finds no room. After some such turns the event thread waits a moment, or for what happens first. (What moves as little, and
 * of which there may be many, is suspended: http/watch.h.) */
void http_loop_progress(struct http_loop *loop);

/* Has no new connections accepted, from the event thread's next turn on. From any thread. */
void http_loop_quiesce(struct http_loop *loop);

/* Waits for the event thread's end. The daemon is the caller's again, and has let go of its listening socket. */
void http_loop_end(struct http_loop *loop);
