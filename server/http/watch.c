#include "http/watch.h"

#include "http/connection.h"
#include "http/server_private.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_AT_ONCE = 64 };

/* What epoll tells of a client's end; the last two whether asked for or not. */
#define END (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

static struct watch *watch_of(const struct http_connection *connection) {
    return &connection->server->watch;
}

bool watch_open(struct watch *watch) {
    LIST_INIT(&watch->ended);
    LIST_INIT(&watch->handshakes);
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

/* It fails for want of memory alone: then the deadlines do, and no handshake is suspended. */
void watch_begin(struct http_connection *connection) {
    ask_for(connection, EPOLL_CTL_ADD, 0);
    connection->watched.shakes_hands = connection->session != NULL;
    if (connection->session)
        LIST_INSERT_HEAD(&watch_of(connection)->handshakes, connection, watched.handshakes);
}

void watch_end(struct http_connection *connection) {
    epoll_ctl(watch_of(connection)->epoll, EPOLL_CTL_DEL, connection->socket, NULL);
    if (connection->watched.has_ended)
        LIST_REMOVE(connection, watched.ended);
    if (connection->watched.shakes_hands)
        LIST_REMOVE(connection, watched.handshakes);
}

/* How much there is to read, as far as one byte; below 0 with EAGAIN: nothing yet; 0: nothing any more. */
static ssize_t to_read(const struct http_connection *connection) {
    char next;
    return recv(connection->socket, &next, sizeof next, MSG_PEEK | MSG_DONTWAIT);
}

/* ---- handshakes */

static void move(struct http_connection *connection, struct watch_list *list) {
    LIST_REMOVE(connection, watched.handshakes);
    LIST_INSERT_HEAD(list, connection, watched.handshakes);
}

/* As long as no request has begun, also when the handshake is finished: it makes no difference. */
static bool waits_for_client(const struct http_connection *connection) {
    return !connection->turned_away && gnutls_record_get_direction(connection->session) == 0 &&
           to_read(connection) < 0 && errno == EAGAIN;
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
    move(connection, &watch_of(connection)->handshakes);
    ask_for(connection, EPOLL_CTL_MOD, 0);
    http_loop_resume(&connection->server->loop, connection->handle);
}

static void look_at_handshake(struct http_connection *connection) {
    if (connection->phase != CONNECTION_NEW) {
        LIST_REMOVE(connection, watched.handshakes);
        connection->watched.shakes_hands = false;
    } else if (waits_for_client(connection)) {
        suspend(connection);
    }
}

static void look_at_handshakes(struct watch *watch) {
    struct http_connection *connection, *next;
    for (connection = LIST_FIRST(&watch->handshakes); connection; connection = next) {
        next = LIST_NEXT(connection, watched.handshakes);
        look_at_handshake(connection);
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
    return to_read(connection) == 0 &&
           (!connection->session || gnutls_record_check_pending(connection->session) == 0);
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

/* ---- both */

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
        look_at_handshakes(watch);
    turn_away_forsaken(watch);
}
