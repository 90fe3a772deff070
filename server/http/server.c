#include "http/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "http/dispatch.h"
#include "http/server_private.h"
#include "http/stream.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LISTEN_BACKLOG = 1024,
    /* For the request line, headers and reply headers of a connection: larger requests get 414 or 431. The whole of it
     * is zeroed for each request. */
    CONNECTION_MEMORY = 16 * 1024,
    /* Beyond the limit, for those that are told so and closed. */
    SPARE_CONNECTIONS = 64,
    /* At the end, for who has just connected, or is between two requests: milliseconds. */
    LINGER = 250,
    LOOK = 10,
};

struct http_server *http_server_new(const struct http_server_settings *settings,
                                    const struct http_route *routes, size_t route_count,
                                    void *inline_context) {
    struct http_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    server->router = http_router_new(routes, route_count);
    server->metrics = http_metrics_new(routes, route_count);
    server->sources = source_table_new();
    if (!server->router || !server->metrics || !server->sources) {
        http_router_free(server->router);
        http_metrics_free(server->metrics);
        source_table_free(server->sources);
        free(server);
        return NULL;
    }
    server->settings = settings;
    server->inline_context = inline_context;
    server->listener = -1;
    server->watch.epoll = -1;
    pthread_mutex_init(&server->lock, NULL);
    condition_init(&server->idle);
    return server;
}

bool http_server_add_lane(struct http_server *server, const struct lane_settings *lane) {
    if (server->lane_count == HTTP_LANES)
        return false;
    struct lane_settings settings = *lane;
    settings.work = dispatch_work;
    server->lanes[server->lane_count] = lane_new(&settings);
    return server->lanes[server->lane_count++] != NULL;
}

const struct http_server_settings *http_server_settings(const struct http_server *server) {
    return server->settings;
}

struct http_stream *http_server_stream(struct http_server *server, struct MHD_Connection *connection,
                                       bool compressed) {
    return http_stream_new(server, connection, compressed);
}

void http_server_resume(struct http_server *server, struct MHD_Connection *connection) {
    http_loop_resume(&server->loop, connection);
}

/* ---- listening */

/* Splits HOST:PORT or [HOST]:PORT at its last colon. False if there is no such. */
static bool split_address(const char *listen, char *host, size_t room, const char **port) {
    const char *colon = strrchr(listen, ':');
    size_t length = colon ? (size_t)(colon - listen) : 0;
    if (length >= 2 && listen[0] == '[' && colon[-1] == ']') {
        listen++;
        length -= 2;
    }
    if (length == 0 || length >= room)
        return false;
    memcpy(host, listen, length);
    host[length] = '\0';
    *port = colon + 1;
    return true;
}

static int open_listener(const struct addrinfo *address) {
    int one = 1;
    int fd =
        socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    int problem = errno;
    close(fd);
    errno = problem;
    return -1;
}

static bool cannot_listen(const struct http_server_settings *settings, const char *reason) {
    log_error("cannot listen", "option", settings->option, "address", settings->listen, "reason", reason);
    return false;
}

static bool listen_on(struct http_server *server, const struct http_server_settings *settings) {
    char host[256];
    const char *port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    if (!split_address(settings->listen, host, sizeof host, &port))
        return cannot_listen(settings, "expected HOST:PORT");
    int problem = getaddrinfo(host, port, &hints, &found);
    if (problem != 0)
        return cannot_listen(settings, gai_strerror(problem));
    server->listener = open_listener(found);
    problem = errno;
    freeaddrinfo(found);
    return server->listener >= 0 || cannot_listen(settings, strerror(problem));
}

static void note_address(struct http_server *server) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char host[64], port[16];
    if (getsockname(server->listener, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    snprintf(server->address, sizeof server->address, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
             host, port);
}

const char *http_server_address(const struct http_server *server) {
    return server->address;
}

/* ---- libmicrohttpd */

__attribute__((format(printf, 2, 0))) static void log_library(void *context, const char *format,
                                                              va_list arguments) {
    char text[512];
    (void)context;
    int length = vsnprintf(text, sizeof text, format, arguments);
    text[length > 0 ? strcspn(text, "\n") : 0] = '\0';
    log_debug("libmicrohttpd", "text", text);
}

/* We decode the URL ourselves, from its raw bytes. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text) {
    (void)context;
    (void)connection;
    return strlen(text);
}

/* ---- start */

/* After each turn of libmicrohttpd; for deadlines once a second. */
static void look_around(void *context) {
    struct http_server *server = context;
    watch_look(server);
    int64_t now = deadline_look(&server->deadlines, deadline_clock());
    if (now == server->deadlines.passed)
        return;
    connection_sweep(server, now);
    dispatch_expire(server, now);
}

/* libmicrohttpd's own timeouts are off: connections have deadlines (http/connection.h). */
static struct MHD_Daemon *start_daemon(struct http_server *server) {
    const struct http_server_settings *settings = server->settings;
    struct MHD_OptionItem more[TLS_OPTIONS];
    tls_options(settings->tls, more);
    /* clang-format off */
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (settings->tls ? MHD_USE_TLS : MHD_NO_FLAG),
        0, NULL, NULL, dispatch, server,
        MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL,
        MHD_OPTION_LISTEN_SOCKET, server->listener,
        MHD_OPTION_NOTIFY_CONNECTION, connection_notice, server,
        MHD_OPTION_URI_LOG_CALLBACK, dispatch_begin, server,
        MHD_OPTION_NOTIFY_COMPLETED, dispatch_completed, server,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
        MHD_OPTION_CONNECTION_LIMIT, settings->connection_limit + SPARE_CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, 0U,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_ARRAY, more,
        MHD_OPTION_END);
    /* clang-format on */
    /* Then it has closed the listener, nearly always; by now the number may be another thread's. */
    if (!daemon)
        server->listener = -1;
    return daemon;
}

bool http_server_start(struct http_server *server) {
    if (!listen_on(server, server->settings))
        return false;
    note_address(server);
    deadline_wheel_init(&server->deadlines, deadline_clock());
    server->daemon = watch_open(&server->watch) ? start_daemon(server) : NULL;
    server->loop.watch = server->watch.epoll;
    if (server->daemon && http_loop_start(&server->loop, server->daemon, look_around, server))
        return true;
    log_error("cannot start libmicrohttpd");
    if (server->daemon) {
        MHD_quiesce_daemon(server->daemon);
        MHD_stop_daemon(server->daemon);
    }
    server->daemon = NULL;
    return false;
}

/* ---- the end */

void http_server_count(struct http_server *server, int change) {
    pthread_mutex_lock(&server->lock);
    server->active += change;
    if (server->active == 0)
        pthread_cond_broadcast(&server->idle);
    pthread_mutex_unlock(&server->lock);
}

void http_server_drain(struct http_server *server) {
    atomic_store(&server->draining, true);
}

bool http_server_is_draining(const struct http_server *server) {
    return atomic_load(&server->draining);
}

static bool wait_until_idle(struct http_server *server, int64_t end) {
    const struct timespec until = {.tv_sec = end / 1000000, .tv_nsec = end % 1000000 * 1000};
    pthread_mutex_lock(&server->lock);
    int waited = 0;
    while (server->active > 0 && waited == 0)
        waited = pthread_cond_timedwait(&server->idle, &server->lock, &until);
    bool idle = server->active == 0;
    pthread_mutex_unlock(&server->lock);
    return idle;
}

/* False if a request has come meanwhile. Each is the last one of its connection: all others end soon. */
static bool stays_idle(struct http_server *server, int64_t end) {
    for (int waited = 0; waited < LINGER && metric_value(&server->connections) > 0; waited += LOOK) {
        if (clock_monotonic() >= end)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = LOOK * 1000000L}, NULL);
        if (!wait_until_idle(server, 0))
            return false;
    }
    return true;
}

bool http_server_finish(struct http_server *server, int milliseconds) {
    int64_t end = clock_monotonic() + milliseconds * INT64_C(1000);
    http_server_drain(server);
    if (server->daemon)
        http_loop_quiesce(&server->loop);
    while (wait_until_idle(server, end))
        if (stays_idle(server, end))
            return true;
    return false;
}

/* A connection that is suspended while the daemon stops would abort the process: the lanes end first, which sends all of
 * them back to the event thread. That thread goes on until then, and may still come to a lane with a new request: they are
 * freed last. */
void http_server_free(struct http_server *server) {
    if (!server)
        return;
    atomic_store(&server->closing, true);
    for (int i = 0; i < server->lane_count; i++)
        if (server->lanes[i])
            lane_interrupt(server->lanes[i]);
    for (int i = 0; i < server->lane_count; i++)
        if (server->lanes[i])
            lane_end(server->lanes[i]);
    if (server->daemon) {
        http_loop_end(&server->loop);
        MHD_stop_daemon(server->daemon);
    }
    for (int i = 0; i < server->lane_count; i++)
        lane_free(server->lanes[i]);
    watch_close(&server->watch);
    if (server->listener >= 0)
        close(server->listener);
    http_router_free(server->router);
    http_metrics_free(server->metrics);
    source_table_free(server->sources);
    pthread_cond_destroy(&server->idle);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
