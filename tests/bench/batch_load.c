/* Sends batches of emissions, as a tracker sends what it has kept while it was offline: all of one run, 15 seconds apart,
 * each with an id of its own. A program of our own, since wrk's Lua cannot make a thousand ids for each request in a
 * time that does not count, and bodies made beforehand would be gigabytes. Here the ids, the times and the run are
 * written into a body that is there already.
 *
 *     bench_batch_load HOST:PORT TOKEN RUN_PREFIX RUNS CONNECTIONS BODIES
 *
 * Each connection sends so many bodies of 1000 emissions as NDJSON, one after the other. The runs' ids are the prefix and
 * twelve hexadecimal digits, from 0 on; each body is of the next run. Prints the figures as a line of JSON. Anything but
 * 200 and all of a body accepted ends it with status 1. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/thread.h"
#include "base/timestamp.h"

#include <netdb.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ROWS = 1000,
    STEP = 15 * 1000 * 1000, /* microseconds between two emissions of a run */
    ID_LENGTH = ID_TEXT_SIZE - 1,
    TIMESTAMP_LENGTH = TIMESTAMP_TEXT_SIZE - 1,
    ANSWER_ROOM = 64 * 1024,
};

struct settings {
    const struct addrinfo *address;
    const char *token;
    const char *prefix; /* of the runs' ids */
    long runs;
    long connections;
    long bodies;
    int64_t began; /* microseconds since 1970: the time of the first emissions */
};

struct connection {
    const struct settings *settings;
    long number;
    pthread_t thread;
    int socket;
    struct buffer request;
    size_t rows[ROWS]; /* where they begin in the request */
};

static void fail(const char *what) {
    fprintf(stderr, "bench_batch_load: %s\n", what);
    exit(EXIT_FAILURE);
}

/* ---- the request */

static const char before_timestamp[] = "{\"timestamp\":\"";
static const char before_run[] = "\",\"run_id\":\"";
static const char before_id[] = "\",\"id\":\"";

enum {
    TIMESTAMP_AT = sizeof before_timestamp - 1,
    RUN_AT = TIMESTAMP_AT + TIMESTAMP_LENGTH + sizeof before_run - 1,
    ID_AT = RUN_AT + ID_LENGTH + sizeof before_id - 1,
};

static double some_number(uint64_t *state, double scale) {
    *state = *state * 6364136223846793005U + 1442695040888963407U; /* D. E. Knuth's MMIX */
    return (double)(*state >> 11) * 0x1p-53 * scale;
}

static void put_row(struct buffer *out, uint64_t *state) {
    char numbers[640];
    snprintf(
        numbers, sizeof numbers,
        "\",\"duration\":15,\"emissions_sum\":%.17g,\"emissions_rate\":%.17g,\"cpu_power\":%.17g,"
        "\"gpu_power\":0.0,\"ram_power\":20.0,\"cpu_energy\":%.17g,\"gpu_energy\":0,\"ram_energy\":%.17g,"
        "\"energy_consumed\":%.17g,\"cpu_utilization_percent\":%.17g,\"gpu_utilization_percent\":0,"
        "\"ram_utilization_percent\":%.17g,\"wue\":0.0}\n",
        some_number(state, 1e-5), some_number(state, 1e-6), some_number(state, 100), some_number(state, 1e-4),
        some_number(state, 1e-5), some_number(state, 1e-4), some_number(state, 100), some_number(state, 100));
    char row[ID_AT + ID_LENGTH + 1];
    snprintf(row, sizeof row, "%s%*s%s%*s%s%*s", before_timestamp, TIMESTAMP_LENGTH, "", before_run,
             ID_LENGTH, "", before_id, ID_LENGTH, "");
    buffer_text(out, row);
    buffer_text(out, numbers);
}

static void put_head(struct buffer *out, const char *token, size_t length) {
    char head[512];
    snprintf(head, sizeof head,
             "POST /emissions/batch HTTP/1.1\r\nHost: carbond\r\nContent-Type: application/x-ndjson\r\n"
             "x-api-token: %s\r\nContent-Length: %zu\r\n\r\n",
             token, length);
    buffer_text(out, head);
}

/* The request but for the ids, the times and the run. */
static void make_request(struct connection *connection) {
    struct buffer body = {0};
    uint64_t state = (uint64_t)connection->number;
    for (int i = 0; i < ROWS; i++) {
        connection->rows[i] = body.size;
        put_row(&body, &state);
    }
    put_head(&connection->request, connection->settings->token, body.size);
    for (int i = 0; i < ROWS; i++)
        connection->rows[i] += connection->request.size;
    buffer_append(&connection->request, body.data, body.size);
    if (body.failed || connection->request.failed)
        fail("out of memory");
    buffer_free(&body);
}

/* Ids that ascend, as those of the server do: a new one for the body, counted on from there. */
static void fill_request(struct connection *connection, long number) {
    const struct settings *settings = connection->settings;
    char run[ID_TEXT_SIZE], id[ID_TEXT_SIZE], time[TIMESTAMP_TEXT_SIZE];
    struct id first = id_new_v7();
    int64_t began = settings->began + (int64_t)(number / settings->runs) * ROWS * STEP;
    snprintf(run, sizeof run, "%s%012lx", settings->prefix, number % settings->runs);
    for (int i = 0; i < ROWS; i++) {
        char *row = connection->request.data + connection->rows[i];
        first.bytes[14] = (unsigned char)(i >> 8);
        first.bytes[15] = (unsigned char)i;
        id_format(&first, id);
        timestamp_format(began + (int64_t)i * STEP, time);
        memcpy(row + TIMESTAMP_AT, time, TIMESTAMP_LENGTH);
        memcpy(row + RUN_AT, run, ID_LENGTH);
        memcpy(row + ID_AT, id, ID_LENGTH);
    }
}

/* ---- the exchange */

static int open_socket(const struct addrinfo *address) {
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
    if (fd < 0 || connect(fd, address->ai_addr, address->ai_addrlen) != 0)
        fail("cannot connect");
    return fd;
}

static void send_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            fail("the server closed a connection");
        data += sent;
        size -= (size_t)sent;
    }
}

/* Whether the answer is complete: the server tells the length of what it has told so far. */
static bool is_complete(const char *answer, size_t size) {
    const char *body = strstr(answer, "\r\n\r\n");
    const char *length = strstr(answer, "\r\nContent-Length: ");
    if (!body || !length || length > body)
        return false;
    return size >= (size_t)(body + 4 - answer) + strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
}

static void take_answer(int fd) {
    char answer[ANSWER_ROOM];
    size_t size = 0;
    do {
        ssize_t got = recv(fd, answer + size, sizeof answer - 1 - size, 0);
        if (got <= 0)
            fail("an answer is missing");
        size += (size_t)got;
        answer[size] = '\0';
    } while (!is_complete(answer, size));
    if (strncmp(answer, "HTTP/1.1 200 ", 13) == 0 && strstr(answer, "\"accepted\": 1000,"))
        return;
    fprintf(stderr, "%s\n", answer);
    fail("a batch was not accepted");
}

static void *send_batches(void *argument) {
    struct connection *connection = argument;
    const struct settings *settings = connection->settings;
    for (long i = 0; i < settings->bodies; i++) {
        fill_request(connection, i * settings->connections + connection->number);
        send_all(connection->socket, connection->request.data, connection->request.size);
        take_answer(connection->socket);
    }
    return NULL;
}

/* ---- the whole */

static struct addrinfo *find_address(const char *text) {
    char host[256];
    const char *colon = strrchr(text, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (!colon || (size_t)(colon - text) >= sizeof host)
        fail("expected HOST:PORT");
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        fail("there is no such address");
    return found;
}

static long positive(const char *text) {
    char *end;
    long number = strtol(text, &end, 10);
    if (number <= 0 || *end)
        fail("expected a positive number");
    return number;
}

static void prepare(struct connection *connection, const struct settings *settings, long number) {
    connection->settings = settings;
    connection->number = number;
    connection->socket = open_socket(settings->address);
    make_request(connection);
}

int main(int count, char **arguments) {
    if (count != 7)
        fail("usage: bench_batch_load HOST:PORT TOKEN RUN_PREFIX RUNS CONNECTIONS BODIES");
    struct addrinfo *address = find_address(arguments[1]);
    const struct settings settings = {
        .address = address,
        .token = arguments[2],
        .prefix = arguments[3],
        .runs = positive(arguments[4]),
        .connections = positive(arguments[5]),
        .bodies = positive(arguments[6]),
        .began = clock_now(),
    };
    struct connection *connections = calloc((size_t)settings.connections, sizeof *connections);
    if (!connections)
        fail("out of memory");
    for (long i = 0; i < settings.connections; i++)
        prepare(&connections[i], &settings, i);
    int64_t began = clock_monotonic();
    for (long i = 0; i < settings.connections; i++)
        if (!thread_start(&connections[i].thread, "batches", send_batches, &connections[i]))
            fail("cannot start a thread");
    for (long i = 0; i < settings.connections; i++)
        pthread_join(connections[i].thread, NULL);
    double seconds = (double)(clock_monotonic() - began) / 1e6;
    printf("{\"rows\": %ld, \"seconds\": %f}\n", settings.connections * settings.bodies * ROWS, seconds);
    for (long i = 0; i < settings.connections; i++) {
        close(connections[i].socket);
        buffer_free(&connections[i].request);
    }
    free(connections);
    freeaddrinfo(address);
    return EXIT_SUCCESS;
}
