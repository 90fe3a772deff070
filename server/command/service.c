#include "command/service.h"

#include "api/emissions.h"
#include "auth/guesses.h"
#include "auth/limits.h"
#include "base/log.h"
#include "base/process.h"
#include "command/monitor.h"
#include "ingest/ingest.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PASSWORD_WORKERS = 2, /* each takes 64 MiB while it works */
    OTHER_DESCRIPTORS =
        1024, /* connections to the database, of /metrics, and of clients that are turned away */
};

/* ---- workers */

static void free_worker(void *context) {
    struct api_worker *worker = context;
    db_free(worker->db);
    db_free(worker->copy);
    free(worker);
}

static void *new_worker(void *context) {
    const struct lane_owner *owner = context;
    struct api_worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return NULL;
    worker->api = owner->api;
    worker->db = db_new(owner->database);
    worker->copy = owner->copy ? db_new(owner->copy) : NULL;
    if (worker->db && (worker->copy || !owner->copy))
        return worker;
    free_worker(worker);
    return NULL;
}

static void interrupt_worker(void *context) {
    struct api_worker *worker = context;
    db_interrupt(worker->db);
    if (worker->copy)
        db_interrupt(worker->copy);
}

/* In the order of enum route_lane. */
static bool add_lanes(struct service *service, const struct config *config) {
    const struct {
        const char *name;
        int threads;
        int share; /* a list takes as long as its reader does */
        const struct db_settings *database, *copy;
    } lanes[] = {
        {"worker", config->workers, 0, &service->database, &service->database_copy},
        {"stream", config->stream_workers, (config->stream_workers + 1) / 2, &service->streaming,
         &service->streaming_copy},
        {"password", PASSWORD_WORKERS, 0, &service->database, NULL},
    };
    for (size_t i = 0; i < sizeof lanes / sizeof lanes[0]; i++) {
        service->owners[i] = (struct lane_owner){&service->api, lanes[i].database,
                                                 config->database_url_read ? lanes[i].copy : NULL};
        const struct lane_settings settings = {
            .name = lanes[i].name,
            .threads = lanes[i].threads,
            .share = lanes[i].share,
            .capacity = (size_t)config->queue_size,
            .new_context = new_worker,
            .free_context = free_worker,
            .interrupt = interrupt_worker,
            .owner = &service->owners[i],
        };
        if (!http_server_add_lane(service->server, &settings))
            return false;
    }
    return true;
}

/* ---- start and end */

/* Each connection of a client takes one; whatever else there is, the rest. */
static void want_descriptors(const struct config *config) {
    size_t wanted = (size_t)config->connection_limit + OTHER_DESCRIPTORS;
    if (!process_want_descriptors(wanted))
        log_warn("there are fewer file descriptors than --connection-limit needs: clients will wait for one",
                 "wanted", log_number((int64_t)wanted).text);
}

static struct ingest *start_ingest(const struct service *service, const struct config *config) {
    const struct ingest_settings settings = {
        .database = service->database,
        .writers = (size_t)config->ingest_writers,
        .queue_size = (size_t)config->ingest_queue,
        .patience = EMISSION_PATIENCE,
    };
    return ingest_start(&settings);
}

static struct upkeep *start_upkeep(const struct service *service, const struct config *config) {
    const struct upkeep_settings settings = {
        .database = &service->database,
        .partitions_ahead = config->partitions_ahead,
        .audit_keep = config->audit_keep,
        .retention = config->retention,
        .metrics_projects = config->metrics_projects,
    };
    return upkeep_start(&settings);
}

static bool start_monitor(struct service *service, const struct config *config) {
    if (strcmp(config->metrics_listen, "none") == 0)
        return true;
    service->monitor = monitor_start(config->metrics_listen, service->server);
    return service->monitor != NULL;
}

bool service_start(struct service *service, const struct config *config) {
    want_descriptors(config);
    service->routes = api_http_routes();
    service->api.limits = limits_new(config->rates);
    service->api.guesses = guesses_new(service->api.limits);
    service->api.ingest = start_ingest(service, config);
    if (service->routes)
        service->server =
            http_server_new(&service->http, service->routes, api_route_count, &service->inline_worker);
    if (!service->server || !service->api.ingest || !service->api.limits || !service->api.guesses ||
        !add_lanes(service, config)) {
        log_error("cannot start", "reason", "out of memory or threads");
        return false;
    }
    service->upkeep = start_upkeep(service, config);
    return service->upkeep && http_server_start(service->server) && start_monitor(service, config);
}

static void sleep_seconds(int seconds) {
    struct timespec rest = {.tv_sec = seconds};
    while (nanosleep(&rest, &rest) != 0)
        ;
}

void service_wind_down(struct service *service, const struct config *config) {
    log_info("ending", "drain_delay", log_number(config->drain_delay).text, "grace",
             log_number(config->grace).text);
    atomic_store(&service->api.draining, true);
    http_server_drain(service->server);
    sleep_seconds(config->drain_delay);
    if (!http_server_finish(service->server, config->grace * 1000))
        log_warn("requests were cut off at the end of the grace time");
}

/* No connection may be waiting for the writer when the server is freed (http/server.c). */
void service_stop(struct service *service) {
    monitor_stop(service->monitor);
    ingest_stop(service->api.ingest);
    http_server_free(service->server);
    ingest_free(service->api.ingest);
    upkeep_stop(service->upkeep);
    guesses_free(service->api.guesses);
    limits_free(service->api.limits);
    free(service->routes);
    jwt_policy_free(&service->auth.jwt);
    tls_free(service->tls);
}
