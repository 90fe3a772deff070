/* carbond migrate: the schema brought up to date, or what that would do. */
#include "db/migrate.h"

#include "command/command.h"
#include "db/citus.h"

#include <stdio.h>

static void tell_event(enum migration_event event, const struct migration *migration) {
    switch (event) {
    case MIGRATION_DONE: printf("applied %s\n", migration->name); break;
    case MIGRATION_WAITS:
        fprintf(stderr, "carbond: %s needs a lock that others hold: trying again\n", migration->name);
        break;
    case MIGRATION_FAILED: fprintf(stderr, "carbond: %s was not applied\n", migration->name); break;
    }
    fflush(stdout); /* the next one may take long */
}

static enum db_outcome apply(const struct config *config, struct db *db, const char **problem) {
    const struct migrate_settings settings = {.lock_wait = config->lock_wait, .tell = tell_event};
    struct schema schema;
    enum db_outcome outcome = migrate(db, &settings, problem);
    if (outcome == DB_OK)
        outcome = migrate_schema(db, &schema);
    if (outcome == DB_OK)
        printf("the database is at version %d%s\n", schema.version,
               schema.version > migrate_version_wanted() ? ", newer than this binary, which works on it"
                                                         : "");
    return outcome;
}

static void tell_state(void *context, const struct migration *migration, enum migration_state state,
                       const char *applied_at) {
    static const char *const words[] = {
        [MIGRATION_PENDING] = "pending",
        [MIGRATION_APPLIED] = "applied",
        [MIGRATION_DIFFERS] = "differs",
        [MIGRATION_MISSING] = "missing",
    };
    int *pending = context;
    *pending += state == MIGRATION_PENDING;
    printf("%-8s  %-24s  %s\n", words[state], migration->name, applied_at ? applied_at : "");
}

/* As a script, which psql would take. */
static void tell_statements(void *context, const struct migration *migration, enum migration_state state,
                            const char *applied_at) {
    int *pending = context;
    (void)applied_at;
    if (state != MIGRATION_PENDING)
        return;
    ++*pending;
    printf("-- %s\n%s\n", migration->name, migration->text);
}

static enum db_outcome run_script(struct db *db, const struct buffer *script, bool dry_run) {
    if (script->failed)
        return DB_FAILED;
    if (dry_run) {
        printf("%s", script->size ? script->data : "");
        return DB_OK;
    }
    enum db_outcome outcome = script->size ? db_script(db, script->data) : DB_OK;
    if (outcome == DB_OK)
        printf("the data is spread by Citus\n");
    return outcome;
}

static enum db_outcome spread(struct db *db, bool dry_run) {
    struct buffer script = {0};
    enum db_outcome outcome = citus_script(db, &script);
    if (outcome == DB_OK)
        outcome = run_script(db, &script, dry_run);
    buffer_free(&script);
    return outcome;
}

static enum db_outcome work(const struct config *config, struct db *db, int *pending, const char **problem) {
    enum db_outcome outcome = config->citus ? citus_check(db, problem) : DB_OK;
    if (outcome != DB_OK)
        return outcome;
    if (config->status)
        return migrate_survey(db, tell_state, pending, problem);
    if (config->dry_run)
        outcome = migrate_survey(db, tell_statements, pending, problem);
    else
        outcome = apply(config, db, problem);
    return outcome == DB_OK && config->citus ? spread(db, config->dry_run) : outcome;
}

int command_migrate(const struct config *config) {
    /* No timeout: a migration of large tables takes as long as it takes. */
    const struct db_settings settings = {.url = config->database_url};
    int pending = 0;
    const char *problem = NULL;
    struct db *db = db_new(&settings);
    if (!db)
        return command_no_memory();
    enum db_outcome outcome = work(config, db, &pending, &problem);
    int status = command_outcome(outcome, problem ? problem : db_message(db));
    db_free(db);
    if (status != EXIT_DONE || !config->status || !pending)
        return status;
    fprintf(stderr, "carbond: %d to be applied, by carbond migrate\n", pending);
    return EXIT_FAILED;
}
