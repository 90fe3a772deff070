#include "command/prepare.h"

#include "base/clock.h"
#include "base/log.h"
#include "command/command.h"
#include "command/first_admin.h"
#include "command/signals.h"
#include "db/migrate.h"

enum { SECOND = 1000 * 1000, PAUSE = 250 /* milliseconds */ };

static void tell(enum migration_event event, const struct migration *migration) {
    switch (event) {
    case MIGRATION_DONE: log_info("migrated", "applied", migration->name); break;
    case MIGRATION_WAITS: log_warn("a migration waits for a lock", "migration", migration->name); break;
    case MIGRATION_FAILED: log_error("a migration was not applied", "migration", migration->name); break;
    }
}

/* A signal comes once. There is one thread as yet. */
static bool ended;

static bool end_within(int milliseconds) {
    ended = ended || signals_end_within(milliseconds);
    return ended;
}

/* May be done again from its start, whatever was done before the database went away. */
static enum db_outcome prepare(const struct config *config, struct db *db, struct first_admin *first,
                               const char **problem) {
    const struct migrate_settings settings = {
        .lock_wait = config->lock_wait, .tell = tell, .end_within = end_within};
    enum db_outcome outcome = DB_OK;
    *problem = NULL;
    if (config->migrate)
        outcome = migrate(db, &settings, problem);
    if (outcome == DB_OK && first->email)
        outcome = first_admin_make(db, first);
    return outcome;
}

int prepare_database(const struct config *config) {
    /* No timeout: a migration of large tables takes as long as it takes. */
    const struct db_settings settings = {.url = config->database_url};
    struct first_admin first = {.email = config->first_admin};
    const char *problem = NULL;
    if (!config->migrate && !config->first_admin)
        return EXIT_DONE;
    if (config->first_admin && !command_is_email("first-admin", config->first_admin))
        return EXIT_USAGE;
    struct db *db = db_new(&settings);
    if (!db)
        return command_no_memory();
    int64_t deadline = clock_monotonic() + (int64_t)config->database_wait * SECOND;
    enum db_outcome outcome = prepare(config, db, &first, &problem);
    while (outcome == DB_AWAY && clock_monotonic() < deadline && !end_within(PAUSE))
        outcome = prepare(config, db, &first, &problem);
    first_admin_forget(&first);
    int status = EXIT_DATABASE;
    if (ended)
        log_warn("asked to end before the database was ready");
    else
        status = command_outcome(outcome, problem ? problem : db_message(db));
    db_free(db);
    return status;
}
