#include "command/service.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

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

static void configure_database(struct service *service, const struct config *config) {
    service->database = (struct db_settings){.url = config->database_url,
                                             .statement_timeout = config->statement_timeout,
                                             .prepared_statements = config->prepared_statements};
    service->streaming = service->database;
    service->streaming.statement_timeout = config->stream_timeout;
    service->database_copy = as_replica(&service->database, config);
    service->streaming_copy = as_replica(&service->streaming, config);
}

static bool configure_auth(struct service *service, const struct config *config) {
    bool none = strcmp(config->auth, "none") == 0;
    service->auth = (struct auth_settings){
        .none = none,
        .at_home = none && !config->auth_none_anywhere,
        .jwt = {.require_expiry = config->jwt_require_exp,
                .issuer = config->jwt_issuer,
                .audience = config->jwt_audience},
    };
    if (service->auth.at_home && !is_loopback(config->listen)) {
        log_error("with --auth none, whoever reaches the server is its admin: listen on loopback, or say "
                  "--auth-none-anywhere true");
        return false;
    }
    return read_jwt_key(service, config);
}

static void configure_http(struct service *service, const struct config *config) {
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
}

static void configure_api(struct service *service, const struct config *config) {
    service->api.auth = &service->auth;
    service->api.replica = &service->replica;
    service->api.frontend_url = config->frontend_url;
    service->api.frontend_origin = config->frontend_origin;
    service->api.cookie_samesite = samesite(config->cookie_samesite);
    service->api.signup_open = strcmp(config->signup, "open") == 0;
    emission_reader_init(&service->api.emission_reader, &body_emission);
    emission_reader_init(&service->api.batch_reader, &body_batch_emission);
    service->inline_worker.api = &service->api;
}

bool service_configure(struct service *service, const struct config *config) {
    configure_log(config);
    configure_database(service, config);
    configure_http(service, config);
    configure_api(service, config);
    return configure_auth(service, config) && configure_tls(service, config);
}

void service_reload(struct service *service, const struct config *config) {
    bool well = !service->tls || tls_reload(service->tls);
    well &= read_jwt_key(service, config);
    if (well)
        log_info("reloaded");
    else
        log_error("not all was reloaded: what is of no use left what was before");
}
