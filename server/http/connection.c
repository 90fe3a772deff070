#include "http/connection.h"

#include "http/dispatch.h"
#include "http/exchange.h"
#include "http/server_private.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* ---- what a phase may take */

enum measure {
    TIME_ONLY,
    BYTES_RECEIVED, /* in each period enough must come ... */
    BYTES_TAKEN,    /* ... or be taken, as long as there is something to take */
};

#define AT(member) offsetof(struct http_server_settings, member)

static const struct {
    size_t seconds; /* where the setting is; 0: no deadline */
    enum measure measure;
    bool is_answered; /* the client is waiting for an answer, and none has begun */
    bool is_received; /* all depends on what the client sends next */
} phases[CONNECTION_PHASES] = {
    [CONNECTION_NEW] = {AT(header_timeout), TIME_ONLY, false, true},
    [CONNECTION_IDLE] = {AT(idle_timeout), TIME_ONLY, false, true},
    [CONNECTION_HEADERS] = {AT(header_timeout), TIME_ONLY, true, true},
    [CONNECTION_BODY] = {AT(body_timeout), BYTES_RECEIVED, true, true},
    [CONNECTION_HANDLED] = {0, TIME_ONLY, false, false},
    [CONNECTION_SENDING] = {AT(send_timeout), BYTES_TAKEN, false, false},
};

static int seconds_of(const struct http_connection *connection) {
    size_t offset = phases[connection->phase].seconds;
    return offset ? *(const int *)((const char *)connection->server->settings + offset) : 0;
}

static void arm(struct http_connection *connection) {
    struct deadline_wheel *wheel = &connection->server->deadlines;
    int seconds = seconds_of(connection);
    if (seconds)
        deadline_set(wheel, &connection->deadline, deadline_in(wheel, deadline_clock(), seconds));
    else
        deadline_clear(wheel, &connection->deadline);
}

void connection_enter(struct http_connection *connection, enum connection_phase phase) {
    connection->phase = phase;
    if (!connection->turned_away)
        arm(connection);
}

bool connection_awaits_client(const struct http_connection *connection) {
    return phases[connection->phase].is_received;
}

/* ---- turning away */

/* Past libmicrohttpd, which has not begun an answer; there is nobody to wait for if the socket takes it only in part. `head`
 * is the status line and headers, from the status on. Within TLS there is nothing to say in plain. */
static void say(const struct http_connection *connection, const char *head, const char *sentence) {
    if (connection->server->settings->tls)
        return;
    char text[512];
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 %sContent-Type: application/json\r\nContent-Length: %zu\r\n"
                        "Cache-Control: no-store\r\nConnection: close\r\n\r\n{\"detail\": \"%s\"}",
                        head, strlen(sentence) + sizeof "{\"detail\": \"\"}" - 1, sentence);
    if (size > 0 && (size_t)size < sizeof text)
        send(connection->socket, text, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The descriptor stays libmicrohttpd's, which closes it on this very thread. */
void connection_turn_away(struct http_connection *connection) {
    connection->turned_away = true;
    watch_release(connection);
    deadline_clear(&connection->server->deadlines, &connection->deadline);
    shutdown(connection->socket, SHUT_RDWR);
}

void connection_refuse(struct http_connection *connection, int status, const char *head,
                       const char *sentence) {
    say(connection, head, sentence);
    connection->request->sent_status = status;
    connection_turn_away(connection);
}

/* ---- how fast */

/* All 0 if the kernel does not tell: then nothing has moved. */
static struct tcp_info info_of(const struct http_connection *connection) {
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (getsockopt(connection->socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        info = (struct tcp_info){0};
    return info;
}

uint64_t connection_bytes_received(const struct http_connection *connection) {
    return info_of(connection).tcpi_bytes_received;
}

static uint64_t bytes_moved(const struct http_connection *connection, enum measure measure) {
    return measure == BYTES_RECEIVED ? connection_bytes_received(connection)
                                     : info_of(connection).tcpi_bytes_acked;
}

/* Not the client but we are slow when it has taken all that there is. */
static bool has_taken_all(const struct http_connection *connection) {
    int outstanding = 0;
    return ioctl(connection->socket, SIOCOUTQ, &outstanding) == 0 && outstanding == 0;
}

static bool is_fast_enough(struct http_connection *connection) {
    enum measure measure = phases[connection->phase].measure;
    if (measure == TIME_ONLY)
        return false;
    uint64_t before = connection->moved[connection->phase], now = bytes_moved(connection, measure);
    uint64_t wanted = (uint64_t)connection->server->settings->minimum_rate * (uint64_t)seconds_of(connection);
    connection->moved[connection->phase] = now;
    return now >= before + wanted || (measure == BYTES_TAKEN && has_taken_all(connection));
}

static void take_deadline(struct http_connection *connection) {
    if (is_fast_enough(connection)) {
        arm(connection);
        return;
    }
    metric_count(&connection->server->turned_away.late[connection->phase], 1);
    if (phases[connection->phase].is_answered)
        connection_refuse(connection, MHD_HTTP_REQUEST_TIMEOUT, "408 Request Timeout\r\n",
                          "The request took too long to arrive");
    else
        connection_turn_away(connection);
}

void connection_sweep(struct http_server *server, int64_t now) {
    struct deadline *deadline;
    while ((deadline = deadline_take(&server->deadlines, now)))
        take_deadline((struct http_connection *)deadline);
}

/* ---- beginning and end */

static bool is_over_address_limit(const struct http_connection *connection) {
    unsigned limit = connection->server->settings->connections_per_address;
    return limit && !connection->is_proxy && connection->source->connections > limit;
}

static bool is_over_limit(const struct http_connection *connection) {
    const struct http_server *server = connection->server;
    return metric_value(&server->connections) > server->settings->connection_limit;
}

/* At the first of these that it is beyond, a connection ends. */
static const struct {
    bool (*is_over)(const struct http_connection *connection);
    size_t counter; /* in struct connection_figures */
    const char *head, *sentence;
} limits[] = {
    {is_over_limit, offsetof(struct connection_figures, over_limit),
     "503 Service Unavailable\r\nRetry-After: 1\r\n", "Too many connections: try again"},
    {is_over_address_limit, offsetof(struct connection_figures, over_address_limit),
     "429 Too Many Requests\r\nRetry-After: 1\r\n", "Too many connections from this address"},
};

static void let_in(struct http_connection *connection) {
    char *figures = (char *)&connection->server->turned_away;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (!limits[i].is_over(connection))
            continue;
        metric_count((struct metric_counter *)(figures + limits[i].counter), 1);
        say(connection, limits[i].head, limits[i].sentence);
        connection_turn_away(connection);
        return;
    }
    connection_enter(connection, CONNECTION_NEW);
}

static int socket_of(struct MHD_Connection *handle) {
    return MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

static void begin_tls(struct http_connection *connection, struct MHD_Connection *handle) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(handle, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (!info)
        return;
    connection->session = info->tls_session;
    connection->credentials = tls_attach(connection->server->settings->tls, connection->session);
}

static struct http_connection *connection_new(struct http_server *server, struct MHD_Connection *handle) {
    const struct sockaddr *client =
        MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    struct http_connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    http_address_of(client, &connection->peer.address);
    connection->server = server;
    connection->handle = handle;
    connection->socket = socket_of(handle);
    connection->source = source_hold(server->sources, &connection->peer.address);
    if (!connection->source) {
        free(connection);
        return NULL;
    }
    http_address_format(&connection->peer.address, connection->peer.text);
    connection->is_proxy = forwarded_trusts(server->settings, &connection->peer.address);
    if (server->settings->tls)
        begin_tls(connection, handle);
    watch_begin(connection);
    return connection;
}

static void connection_free(struct http_connection *connection) {
    if (!connection)
        return;
    if (connection->request)
        dispatch_lost(connection->request);
    deadline_clear(&connection->server->deadlines, &connection->deadline);
    watch_end(connection);
    source_release(connection->server->sources, connection->source);
    tls_release(connection->credentials);
    free(connection);
}

void connection_notice(void *context, struct MHD_Connection *handle, void **kept,
                       enum MHD_ConnectionNotificationCode what) {
    struct http_server *server = context;
    bool begins = what == MHD_CONNECTION_NOTIFY_STARTED;
    metric_change(&server->connections, begins ? 1 : -1);
    if (!begins) {
        connection_free(*kept);
        return;
    }
    struct http_connection *connection = connection_new(server, handle);
    *kept = connection;
    if (connection)
        let_in(connection);
    else
        shutdown(socket_of(handle), SHUT_RDWR);
}

struct http_connection *connection_of(struct MHD_Connection *handle) {
    return MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

bool connection_is_used_up(const struct http_connection *connection) {
    unsigned most = connection->server->settings->requests_per_connection;
    return most && connection->requests >= most;
}
