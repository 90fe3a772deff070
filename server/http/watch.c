#include "http/watch.h"

#include "http/connection.h"
#include "http/server_private.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_AT_ONCE = 64, STUCK_AFTER = 3 /* turns */ };

/* What epoll tells of a client's end; the last two whether asked for or not. */
#define END (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

static struct watch *watch_of(const struct http_connection *connection) {
    return &connection->server->watch;
}

bool watch_open(struct watch *watch) {
    LIST_INIT(&watch->ended);
    LIST_INIT(&watch->tried);
    LIST_INIT(&watch->suspended);
    watch->epoll = epoll_create1(EPOLL_CLOEXEC);
    return watch->epoll >= 0;
}

void watch_close(struct watch *watch) {
    if (watch->epoll >= 0)
        close(watch->epoll);
    watch->epoll = -1;
}

static bool ask_for(struct http_connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events | EPOLLRDHUP | EPOLLET, .data.ptr = connection};
    return epoll_ctl(watch_of(connection)->epoll, operation, connection->socket, &event) == 0;
}

/* How much there is to read, as far as one byte; below 0 with EAGAIN: nothing yet; 0: nothing any more. */
static ssize_t to_read(const struct http_connection *connection) {
    char next;
    return recv(connection->socket, &next, sizeof next, MSG_PEEK | MSG_DONTWAIT);
}

/* Bytes that TLS has read and nobody has asked it for. */
static uint64_t in_tls(const struct http_connection *connection) {
    return connection->session ? gnutls_record_check_pending(connection->session) : 0;
}

/* ---- what is tried in vain */

static void move(struct http_connection *connection, struct watch_list *list) {
    LIST_REMOVE(connection, watched.tried);
    LIST_INSERT_HEAD(list, connection, watched.tried);
}

static void be_tried(struct http_connection *connection) {
    if (!connection->watched.is_tried)
        LIST_INSERT_HEAD(&watch_of(connection)->tried, connection, watched.tried);
    connection->watched.is_tried = true;
    connection->watched.stood_at = UINT64_MAX;
    connection->watched.stood = 0;
}

void watch_chunks(struct http_connection *connection) {
    connection->watched.is_chunked = true;
    be_tried(connection);
}

/* A handshake counts as one until a request has begun. */
static bool may_be_tried(const struct http_connection *connection) {
    return !connection->turned_away &&
           (connection->phase == CONNECTION_NEW ||
            (connection->phase == CONNECTION_BODY && connection->watched.is_chunked));
}

static bool waits_for_client(const struct http_connection *connection) {
    return (!connection->session || gnutls_record_get_direction(connection->session) == 0) &&
           in_tls(connection) == 0 && to_read(connection) < 0 && errno == EAGAIN;
}

/* What comes from now on is told, and what has come since we looked. */
static void suspend(struct http_connection *connection) {
    if (!ask_for(connection, EPOLL_CTL_MOD, EPOLLIN))
        return;
    connection->watched.is_suspended = true;
    move(connection, &watch_of(connection)->suspended);
    MHD_suspend_connection(connection->handle);
}

void watch_release(struct http_connection *connection) {
    if (!connection->watched.is_suspended)
        return;
    connection->watched.is_suspended = false;
    move(connection, &watch_of(connection)->tried);
    ask_for(connection, EPOLL_CTL_MOD, 0);
    http_loop_resume(&connection->server->loop, connection->handle);
}

/* Nothing of the body was read in some turns, although there was something to read already before. */
static bool is_stuck(struct http_connection *connection) {
    int unread = 0;
    if (connection->phase != CONNECTION_BODY || ioctl(connection->socket, FIONREAD, &unread) != 0)
        return false;
    uint64_t left = (uint64_t)unread + in_tls(connection), before = connection->watched.stood_at;
    uint64_t now = left ? connection_bytes_received(connection) - left : UINT64_MAX;
    connection->watched.stood_at = now;
    connection->watched.stood = now == before && left ? connection->watched.stood + 1 : 0;
    return connection->watched.stood == STUCK_AFTER;
}

static void look_at_tried(struct http_connection *connection) {
    if (!may_be_tried(connection)) {
        LIST_REMOVE(connection, watched.tried);
        connection->watched.is_tried = false;
    } else if (waits_for_client(connection)) {
        suspend(connection);
    } else if (is_stuck(connection)) {
        connection_refuse(connection, MHD_HTTP_BAD_REQUEST, "400 Bad Request\r\n",
                          "The head of a chunk is too long");
    }
}

/* They are few: nearly all are suspended. */
static void look_at_all_tried(struct watch *watch) {
    struct http_connection *connection, *next;
    for (connection = LIST_FIRST(&watch->tried); connection; connection = next) {
        next = LIST_NEXT(connection, watched.tried);
        look_at_tried(connection);
    }
}

static void release_all(struct watch *watch) {
    while (!LIST_EMPTY(&watch->suspended))
        watch_release(LIST_FIRST(&watch->suspended));
}

/* ---- clients that have said their last */

static void note_end(struct http_connection *connection) {
    if (!connection->watched.has_ended)
        LIST_INSERT_HEAD(&watch_of(connection)->ended, connection, watched.ended);
    connection->watched.has_ended = true;
}

static bool is_read_out(const struct http_connection *connection) {
    return to_read(connection) == 0 && in_tls(connection) == 0;
}

/* Whoever is not read out although nothing else moves will not be. */
static bool is_forsaken(const struct http_connection *connection) {
    return !connection->turned_away && connection_awaits_client(connection) &&
           (connection->server->loop.rested || is_read_out(connection));
}

static void turn_away_forsaken(struct watch *watch) {
    struct http_connection *connection;
    LIST_FOREACH(connection, &watch->ended, watched.ended)
    if (is_forsaken(connection))
        connection_turn_away(connection);
}

/* ---- all of it */

/* It fails for want of memory alone: then the deadlines do, and nothing is suspended. */
void watch_begin(struct http_connection *connection) {
    ask_for(connection, EPOLL_CTL_ADD, 0);
    if (connection->session)
        be_tried(connection);
}

void watch_end(struct http_connection *connection) {
    epoll_ctl(watch_of(connection)->epoll, EPOLL_CTL_DEL, connection->socket, NULL);
    if (connection->watched.has_ended)
        LIST_REMOVE(connection, watched.ended);
    if (connection->watched.is_tried)
        LIST_REMOVE(connection, watched.tried);
}

static void note_events(struct watch *watch) {
    struct epoll_event told[EVENTS_AT_ONCE];
    int count;
    do {
        count = epoll_wait(watch->epoll, told, EVENTS_AT_ONCE, 0);
        for (int i = 0; i < count; i++) {
            if (told[i].events & END)
                note_end(told[i].data.ptr);
            watch_release(told[i].data.ptr);
        }
    } while (count == EVENTS_AT_ONCE);
}

void watch_look(struct http_server *server) {
    struct watch *watch = &server->watch;
    if (server->loop.told)
        note_events(watch);
    if (atomic_load(&server->closing))
        release_all(watch);
    else
        look_at_all_tried(watch);
    turn_away_forsaken(watch);
}
