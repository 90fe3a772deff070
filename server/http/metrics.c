#include "http/metrics.h"

#include "base/metric.h"
#include "http/server_private.h"

#include <stdlib.h>

static const struct {
    int status;
    const char *text;
} statuses[] = {
    {200, "200"}, {201, "201"}, {204, "204"}, {302, "302"}, {303, "303"}, {400, "400"},      {401, "401"},
    {403, "403"}, {404, "404"}, {405, "405"}, {408, "408"}, {409, "409"}, {413, "413"},      {414, "414"},
    {415, "415"}, {422, "422"}, {429, "429"}, {500, "500"}, {503, "503"}, {0, "unanswered"}, {-1, "other"},
};

enum { STATUSES = sizeof statuses / sizeof statuses[0], OTHER = STATUSES - 1 };

struct tally {
    struct metric_counter answers[STATUSES];
    struct metric_histogram duration;
};

struct http_metrics {
    const struct http_route *routes;
    size_t count;
    struct tally tallies[]; /* one for each route, and at the end that of no route */
};

struct http_metrics *http_metrics_new(const struct http_route *routes, size_t count) {
    struct http_metrics *metrics = calloc(1, sizeof *metrics + (count + 1) * sizeof metrics->tallies[0]);
    if (!metrics)
        return NULL;
    metrics->routes = routes;
    metrics->count = count;
    for (size_t i = 0; i <= count; i++)
        metrics->tallies[i].duration.bounds = &metric_latency;
    return metrics;
}

void http_metrics_free(struct http_metrics *metrics) {
    free(metrics);
}

static size_t index_of(int status) {
    size_t i = 0;
    while (i < OTHER && statuses[i].status != status)
        i++;
    return i;
}

void http_metrics_count(struct http_metrics *metrics, const struct http_route *route, int status,
                        int64_t microseconds) {
    struct tally *tally = &metrics->tallies[route ? (size_t)(route - metrics->routes) : metrics->count];
    metric_count(&tally->answers[index_of(status)], 1);
    metric_observe(&tally->duration, microseconds);
}

/* ---- the text: requests */

static bool asked_for(const struct tally *tally) {
    for (size_t i = 0; i < STATUSES; i++)
        if (metric_counted(&tally->answers[i]) > 0)
            return true;
    return false;
}

static struct metric_label method_of(const struct http_metrics *metrics, size_t i) {
    return (struct metric_label){"method", i < metrics->count ? metrics->routes[i].method : "any"};
}

static struct metric_label route_of(const struct http_metrics *metrics, size_t i) {
    return (struct metric_label){"route", i < metrics->count ? metrics->routes[i].pattern : "unmatched"};
}

static void write_requests(const struct http_metrics *metrics, struct buffer *out) {
    static const struct metric_family family = {"carbond_http_requests_total",
                                                "Requests by route and status of the answer.", METRIC_COUNTER,
                                                METRIC_NUMBER};
    metric_write_family(out, &family);
    for (size_t i = 0; i <= metrics->count; i++) {
        for (size_t status = 0; status < STATUSES; status++) {
            int64_t requests = metric_counted(&metrics->tallies[i].answers[status]);
            const struct metric_label labels[] = {
                method_of(metrics, i), route_of(metrics, i), {"status", statuses[status].text}, {NULL, NULL}};
            if (requests > 0)
                metric_write_sample(out, &family, labels, requests);
        }
    }
}

static void write_durations(const struct http_metrics *metrics, struct buffer *out) {
    static const struct metric_family family = {"carbond_http_request_duration_seconds",
                                                "Time from a request's first line to the end of its answer.",
                                                METRIC_HISTOGRAM, METRIC_MICROSECONDS};
    metric_write_family(out, &family);
    for (size_t i = 0; i <= metrics->count; i++) {
        const struct metric_label labels[] = {method_of(metrics, i), route_of(metrics, i), {NULL, NULL}};
        if (asked_for(&metrics->tallies[i]))
            metric_write_histogram(out, &family, labels, &metrics->tallies[i].duration);
    }
}

void http_metrics_write(const struct http_metrics *metrics, struct buffer *out) {
    write_requests(metrics, out);
    write_durations(metrics, out);
}

/* ---- the text: the server */

/* clang-format off */

#define REFUSED "carbond_http_connections_refused_total", "Connections that were answered and closed at once, by the limit they were beyond."
#define LATE    "carbond_http_deadlines_total", "Connections that were closed since a phase of their request took too long."

static void write_connections(const struct http_server *server, struct buffer *out) {
    const struct metric_gauge limit = {server->settings->connection_limit};
    const struct connection_figures *figures = &server->turned_away;
    const struct metric table[] = {
        {"carbond_http_connections", "Connections of clients that are open.", .gauge = &server->connections},
        {"carbond_http_connections_limit", "Connections of clients that may be open.", .gauge = &limit},
        {REFUSED, {"limit", "total"}, .counter = &figures->over_limit},
        {REFUSED, {"limit", "address"}, .counter = &figures->over_address_limit},
        {LATE, {"phase", "new"}, .counter = &figures->late[CONNECTION_NEW]},
        {LATE, {"phase", "idle"}, .counter = &figures->late[CONNECTION_IDLE]},
        {LATE, {"phase", "headers"}, .counter = &figures->late[CONNECTION_HEADERS]},
        {LATE, {"phase", "body"}, .counter = &figures->late[CONNECTION_BODY]},
        {LATE, {"phase", "sending"}, .counter = &figures->late[CONNECTION_SENDING]},
    };
    metric_write_table(out, table, sizeof table / sizeof table[0]);
}

static void write_tls(const struct http_server *server, struct buffer *out) {
    static const struct metric_family family = {"carbond_tls_certificate_expiry_seconds",
                                                "When the TLS certificate expires, since 1970.", METRIC_GAUGE,
                                                METRIC_MICROSECONDS};
    metric_write_family(out, &family);
    metric_write_sample(out, &family, NULL,
                        server->settings->tls ? tls_expiry(server->settings->tls) : METRIC_UNKNOWN);
}

#define AT(member) offsetof(struct lane_figures, member)

static const struct {
    struct metric_family family;
    size_t offset;
} lane_table[] = {
    {{"carbond_lane_jobs_waiting", "Requests that wait for a worker.", METRIC_GAUGE, METRIC_NUMBER}, AT(waiting)},
    {{"carbond_lane_jobs_capacity", "Requests that may wait for a worker.", METRIC_GAUGE, METRIC_NUMBER}, AT(capacity)},
    {{"carbond_lane_refused_total", "Requests that were refused since too many waited.", METRIC_COUNTER, METRIC_NUMBER},
     AT(refused)},
    {{"carbond_lane_late_total", "Requests that were refused since they had waited too long for a worker.", METRIC_COUNTER,
      METRIC_NUMBER}, AT(late)},
    {{"carbond_lane_threads", "Workers, each with a connection to the database.", METRIC_GAUGE, METRIC_NUMBER}, AT(threads)},
    {{"carbond_lane_threads_busy", "Workers that are at work.", METRIC_GAUGE, METRIC_NUMBER}, AT(busy)},
};

/* clang-format on */

static void write_lanes(const struct http_server *server, struct buffer *out) {
    struct lane_figures figures[HTTP_LANES];
    for (int lane = 0; lane < server->lane_count; lane++)
        lane_look(server->lanes[lane], &figures[lane]);
    for (size_t i = 0; i < sizeof lane_table / sizeof lane_table[0]; i++) {
        metric_write_family(out, &lane_table[i].family);
        for (int lane = 0; lane < server->lane_count; lane++) {
            const struct metric_label labels[] = {{"lane", figures[lane].name}, {NULL, NULL}};
            metric_write_sample(out, &lane_table[i].family, labels,
                                *(const int64_t *)((const char *)&figures[lane] + lane_table[i].offset));
        }
    }
}

void http_server_write_metrics(const struct http_server *server, struct buffer *out) {
    http_metrics_write(server->metrics, out);
    write_connections(server, out);
    write_tls(server, out);
    write_lanes(server, out);
}
