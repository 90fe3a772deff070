#include "api/call.h"
#include "api/emissions.h"
#include "auth/guesses.h"
#include "auth/limits.h"
#include "base/log.h"
#include "base/process.h"
#include "command/command.h"
#include "command/monitor.h"
#include "command/prepare.h"
#include "command/signals.h"
#include "db/migrate.h"
#include "db/replica.h"
#include "http/server.h"
#include "ingest/ingest.h"
#include "upkeep/upkeep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    PASSWORD_WORKERS = 2, /* each takes 64 MiB while it works */
    OTHER_DESCRIPTORS =
        1024, /* connections to the database, of /metrics, and of clients that are turned away */
};

/* What the workers of one lane are made of. */
struct lane_owner {
    struct api *api;
    const struct db_settings *database;
    const struct db_settings *copy; /* of it; NULL: there is none */
};

/* Everything that lives as long as the server. */
struct service {
    struct db_settings database;
    /* For lists: PostgreSQL's timeout goes on while a client reads slowly. */
    struct db_settings streaming;
    /* The same of the replica. */
    struct db_settings database_copy, streaming_copy;
    struct replica replica;
    struct lane_owner owners[HTTP_LANES];
    struct auth_settings auth;
    struct http_server_settings http;
    struct tls *tls; /* NULL without --tls-cert */
    char transport_security[32];
    struct api api;
    struct api_worker inline_worker;
    struct http_route *routes;
    struct http_server *server;
    struct upkeep *upkeep;
    struct monitor *monitor; /* NULL with --metrics-listen none */
};

/* ---- configuration */

static void configure_log(const struct config *config) {
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    enum log_level level = LOG_LEVEL_INFO;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (strcmp(config->log_level, levels[i]) == 0)
            level = (enum log_level)i;
    log_configure(level, strcmp(config->log_format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_LOGFMT);
}

/* Of HOST:PORT. A name may be anybody's, but for this one. */
static bool is_loopback(const char *listen) {
    struct http_address address;
    return http_address_parse(listen, strlen(listen), true, &address)
               ? http_address_is_loopback(&address)
               : strncmp(listen, "localhost:", 10) == 0;
}

/* As cookies have it. */
static const char *samesite(const char *choice) {
    static const char *const values[] = {"Lax", "Strict", "None"};
    const char *value = values[0];
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (strcasecmp(values[i], choice) == 0)
            value = values[i];
    return value;
}

static bool read_jwt_key(struct service *service, const struct config *config) {
    const char *problem =
        config->jwt_key_file ? jwt_policy_read_key(&service->auth.jwt, config->jwt_key_file) : NULL;
    if (problem)
        log_error("cannot use the JWT key", "file", config->jwt_key_file, "reason", problem);
    return !problem;
}

static bool configure_tls(struct service *service, const struct config *config) {
    if (!config->tls_cert != !config->tls_key) {
        log_error("--tls-cert and --tls-key go together");
        return false;
    }
    if (!config->tls_cert && !config->trusted_proxy_count && strcmp(config->cookie_samesite, "none") == 0) {
        log_error("browsers take a cookie of --cookie-samesite none over TLS alone: say --tls-cert, or "
                  "--trusted-proxy of the proxy that speaks it");
        return false;
    }
    if (!config->tls_cert)
        return true;
    service->http.tls = service->tls = tls_new(config->tls_cert, config->tls_key);
    snprintf(service->transport_security, sizeof service->transport_security, "max-age=%d",
             config->hsts_max_age);
    if (config->hsts_max_age)
        service->http.transport_security = service->transport_security;
    return service->tls != NULL;
}

static struct db_settings as_replica(const struct db_settings *database, const struct config *config) {
    struct db_settings copy = *database;
    copy.url = config->database_url_read;
    copy.replica = true;
    return copy;
}

static bool configure(struct service *service, const struct config *config) {
    service->database = (struct db_settings){.url = config->database_url,
                                             .statement_timeout = config->statement_timeout,
                                             .prepared_statements = config->prepared_statements};
    service->streaming = service->database;
    service->streaming.statement_timeout = config->stream_timeout;
    service->database_copy = as_replica(&service->database, config);
    service->streaming_copy = as_replica(&service->streaming, config);
    service->auth = (struct auth_settings){
        .none = strcmp(config->auth, "none") == 0,
        .at_home = strcmp(config->auth, "none") == 0 && !config->auth_none_anywhere,
        .jwt = {.require_expiry = config->jwt_require_exp,
                .issuer = config->jwt_issuer,
                .audience = config->jwt_audience},
    };
    service->http = (struct http_server_settings){
        .listen = config->listen,
        .option = "--listen",
        .cors_origins = config->cors_origins,
        .cors_origin_count = config->cors_origin_count,
        .trusted_proxies = config->trusted_proxies,
        .trusted_proxy_count = config->trusted_proxy_count,
        .connection_limit = (unsigned)config->connection_limit,
        .connections_per_address = (unsigned)config->connections_per_address,
        .requests_per_connection = (unsigned)config->requests_per_connection,
        .header_timeout = config->header_timeout,
        .body_timeout = config->body_timeout,
        .send_timeout = config->send_timeout,
        .idle_timeout = config->idle_timeout,
        .minimum_rate = (size_t)config->minimum_rate << 10,
        .queue_timeout = config->queue_timeout,
        .body_memory = (size_t)config->body_memory << 20,
    };
    service->api.auth = &service->auth;
    service->api.replica = &service->replica;
    service->api.frontend_url = config->frontend_url;
    service->api.frontend_origin = config->frontend_origin;
    service->api.cookie_samesite = samesite(config->cookie_samesite);
    service->api.signup_open = strcmp(config->signup, "open") == 0;
    emission_reader_init(&service->api.emission_reader, &body_emission);
    emission_reader_init(&service->api.batch_reader, &body_batch_emission);
    service->inline_worker.api = &service->api;
    if (service->auth.at_home && !is_loopback(config->listen)) {
        log_error("with --auth none, whoever reaches the server is its admin: listen on loopback, or say "
                  "--auth-none-anywhere true");
        return false;
    }
    return read_jwt_key(service, config) && configure_tls(service, config);
}

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

/* A database that is away may come back: /readyz says 503 until then. A schema that does not fit will not mend itself. */
static bool schema_fits(const struct service *service) {
    struct schema schema;
    struct db *db = db_new(&service->database);
    if (!db)
        return false;
    enum db_outcome outcome = migrate_schema(db, &schema);
    db_free(db);
    if (outcome != DB_OK || (!migrate_is_too_old(&schema) && !migrate_is_too_new(&schema)))
        return true;
    log_error(migrate_is_too_old(&schema) ? "the database's schema is too old: run carbond migrate"
                                          : "the database's schema is too new: run a newer carbond",
              "version", log_number(schema.version).text, "wanted", log_number(migrate_version_wanted()).text,
              "oldest_server", log_number(schema.oldest_server).text);
    return false;
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

static bool start(struct service *service, const struct config *config) {
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

/* First the load balancer learns that we go, then new connections end, then what has begun is answered. */
static void wind_down(struct service *service, const struct config *config) {
    log_info("ending", "drain_delay", log_number(config->drain_delay).text, "grace",
             log_number(config->grace).text);
    atomic_store(&service->api.draining, true);
    http_server_drain(service->server);
    sleep_seconds(config->drain_delay);
    if (!http_server_finish(service->server, config->grace * 1000))
        log_warn("requests were cut off at the end of the grace time");
}

/* No connection may be waiting for the writer when the server is freed (http/server.c). */
static void stop(struct service *service) {
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

static void reload(struct service *service, const struct config *config) {
    bool well = !service->tls || tls_reload(service->tls);
    well &= read_jwt_key(service, config);
    if (well)
        log_info("reloaded");
    else
        log_error("not all was reloaded: what is of no use left what was before");
}

int command_serve(const struct config *config) {
    struct service service = {0};
    configure_log(config);
    if (!configure(&service, config)) {
        stop(&service);
        return EXIT_USAGE;
    }
    want_descriptors(config);
    signals_block();
    int status = prepare_database(config);
    if (status == EXIT_DONE && !(schema_fits(&service) && start(&service, config)))
        status = EXIT_FAILED;
    if (status == EXIT_DONE) {
        log_info("listening", "address", http_server_address(service.server), "metrics",
                 monitor_address(service.monitor), "version", CARBOND_VERSION, "auth", config->auth, "tls",
                 service.tls ? "on" : "off");
        while (signals_wait() == SIGNALS_RELOAD)
            reload(&service, config);
        wind_down(&service, config);
    }
    stop(&service);
    if (status == EXIT_DONE)
        log_info("ended");
    return status;
}
