#include "base/log.h"
#include "command/command.h"
#include "command/monitor.h"
#include "command/prepare.h"
#include "command/service.h"
#include "command/signals.h"
#include "db/migrate.h"

#include <string.h>
#include <systemd/sd-daemon.h>

/* A database that is away may come back: /readyz says 503 until then. A schema that does not fit will not mend itself. */
static bool schema_fits(const struct service *service) {
    struct schema schema;
    struct db *db = db_new(&service->database);
    if (!db)
        return false;
    enum db_outcome outcome = migrate_schema(db, &schema);
    db_free(db);
    const char *misfit = outcome == DB_OK ? migrate_misfit(&schema) : NULL;
    if (!misfit)
        return true;
    log_error(misfit, "version", log_number(schema.version).text, "wanted",
              log_number(migrate_version_wanted()).text, "oldest_server",
              log_number(schema.oldest_server).text);
    return false;
}

static void warn_of_variable(const char *name) {
    log_warn("no option has this name", "variable", name);
}

/* Who has started the server may be waiting for that (sd_notify(3)); where nobody is, nothing happens. */
static void tell_supervisor(const char *state) {
    int result = sd_notify(false, state);
    if (result < 0)
        log_warn("the supervisor was not told", "state", state, "reason", strerror(-result));
}

static int serve(struct service *service, const struct config *config) {
    int status = prepare_database(config);
    if (status != EXIT_DONE)
        return status;
    if (!schema_fits(service) || !service_start(service, config))
        return EXIT_FAILED;
    log_info("listening", "address", http_server_address(service->server), "metrics",
             monitor_address(service->monitor), "version", CARBOND_VERSION, "auth", config->auth, "tls",
             service->tls ? "on" : "off");
    tell_supervisor("READY=1");
    while (signals_wait() == SIGNALS_RELOAD)
        service_reload(service, config);
    tell_supervisor("STOPPING=1");
    service_wind_down(service, config);
    return EXIT_DONE;
}

int command_serve(const struct config *config) {
    struct service service = {0};
    int status = EXIT_USAGE;
    if (service_configure(&service, config)) {
        config_unknown_variables(warn_of_variable);
        signals_block();
        status = serve(&service, config);
    }
    service_stop(&service);
    if (status == EXIT_DONE)
        log_info("ended");
    return status;
}
