#include "command/monitor.h"

#include "auth/limits.h"
#include "base/log.h"
#include "base/process.h"
#include "db/metrics.h"
#include "http/reply.h"
#include "ingest/ingest_metrics.h"
#include "upkeep/project_totals.h"

#include <stdlib.h>

enum {
    CONNECTION_LIMIT = 64,
    REQUEST_TIMEOUT = 10, /* seconds, of each phase of a request */
    MINIMUM_RATE = 1024,  /* bytes a second */
    IDLE_TIMEOUT = 120,   /* seconds: twice the pause that Prometheus makes between scrapes by default */
    LAST_ANSWERS = 1000,  /* milliseconds that an answer may take once we end */
};

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct monitor {
    struct http_server_settings settings;
    struct http_server *server;
    struct http_server *watched;
};

/* ---- answers */

static void write_build(struct buffer *out) {
    static const struct metric_gauge one = {1};
    static const struct metric table[] = {
        {"carbond_build_info", "Which carbond this is.", {"version", CARBOND_VERSION}, .gauge = &one},
    };
    metric_write_table(out, table, 1);
}

static void reply_metrics(struct http_request *request, void *context) {
    const struct monitor *monitor = context;
    struct buffer text = {0};
    write_build(&text);
    http_server_write_metrics(monitor->watched, &text);
    limits_metrics_write(&text);
    db_metrics_write(&text);
    ingest_metrics_write(&text);
    project_totals_write(&text);
    process_metrics_write(&text);
    http_reply_buffer(request, MHD_HTTP_OK, METRICS_TYPE, &text);
}

static void reply_alive(struct http_request *request, void *context) {
    static const char alive[] = "{\"status\": \"ok\"}";
    (void)context;
    http_reply_static(request, MHD_HTTP_OK, HTTP_JSON, alive, sizeof alive - 1);
}

static const struct http_route routes[] = {
    {.method = "GET",
     .pattern = "/metrics",
     .lane = HTTP_LANE_INLINE,
     .handle = reply_metrics,
     .probe = true},
    {.method = "GET", .pattern = "/healthz", .lane = HTTP_LANE_INLINE, .handle = reply_alive, .probe = true},
};

/* ---- start and end */

struct monitor *monitor_start(const char *listen, struct http_server *watched) {
    struct monitor *monitor = calloc(1, sizeof *monitor);
    if (monitor) {
        monitor->watched = watched;
        monitor->settings = (struct http_server_settings){
            .listen = listen,
            .option = "--metrics-listen",
            .connection_limit = CONNECTION_LIMIT,
            .header_timeout = REQUEST_TIMEOUT,
            .body_timeout = REQUEST_TIMEOUT,
            .send_timeout = REQUEST_TIMEOUT,
            .idle_timeout = IDLE_TIMEOUT,
            .minimum_rate = MINIMUM_RATE,
        };
        monitor->server =
            http_server_new(&monitor->settings, routes, sizeof routes / sizeof routes[0], monitor);
    }
    if (!monitor || !monitor->server)
        log_error("cannot start", "reason", "out of memory");
    else if (http_server_start(monitor->server))
        return monitor;
    monitor_stop(monitor);
    return NULL;
}

const char *monitor_address(const struct monitor *monitor) {
    return monitor ? http_server_address(monitor->server) : NULL;
}

void monitor_stop(struct monitor *monitor) {
    if (!monitor)
        return;
    if (monitor->server)
        http_server_finish(monitor->server, LAST_ANSWERS);
    http_server_free(monitor->server);
    free(monitor);
}
