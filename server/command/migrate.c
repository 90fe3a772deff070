/* carbond migrate: the schema brought up to date, or what that would do. */
#include "db/migrate.h"

#include "command/command.h"

#include <stdio.h>

static void report_applied(const struct migration *migration) {
    printf("applied %s\n", migration->name);
}

static enum db_outcome apply(struct db *db, const char **problem) {
    enum db_outcome outcome = migrate(db, report_applied, problem);
    if (outcome == DB_OK)
        printf("the database is at version %d\n", migrate_version_wanted());
    return outcome;
}

struct survey {
    int pending;
    int differing;
};

static void tell_state(void *context, const struct migration *migration, enum migration_state state,
                       const char *applied_at) {
    static const char *const words[] = {
        [MIGRATION_PENDING] = "pending", [MIGRATION_APPLIED] = "applied", [MIGRATION_DIFFERS] = "differs"};
    struct survey *survey = context;
    survey->pending += state == MIGRATION_PENDING;
    survey->differing += state == MIGRATION_DIFFERS;
    printf("%-8s  %-24s  %s\n", words[state], migration->name, applied_at ? applied_at : "");
}

/* As a script, which psql would take. */
static void tell_statements(void *context, const struct migration *migration, enum migration_state state,
                            const char *applied_at) {
    struct survey *survey = context;
    (void)applied_at;
    survey->differing += state == MIGRATION_DIFFERS;
    if (state != MIGRATION_PENDING)
        return;
    survey->pending++;
    printf("-- %s\n%s\n", migration->name, migration->text);
}

/* A database that is newer than this binary is none that it can tell of. */
static enum db_outcome survey(struct db *db, migration_teller *tell, struct survey *survey,
                              const char **problem) {
    int version;
    enum db_outcome outcome = migrate_version(db, &version);
    if (outcome != DB_OK)
        return outcome;
    outcome = migrate_survey(db, tell, survey);
    if (outcome != DB_OK)
        return outcome;
    if (version > migrate_version_wanted())
        *problem = MIGRATE_NEWER;
    else if (survey->differing)
        *problem = MIGRATE_DIFFERS;
    return *problem ? DB_REFUSED : DB_OK;
}

static enum db_outcome work(const struct config *config, struct db *db, struct survey *found,
                            const char **problem) {
    if (config->dry_run)
        return survey(db, tell_statements, found, problem);
    if (config->status)
        return survey(db, tell_state, found, problem);
    return apply(db, problem);
}

int command_migrate(const struct config *config) {
    /* No timeout: a migration of large tables takes as long as it takes. */
    const struct db_settings settings = {.url = config->database_url};
    struct survey found = {0};
    const char *problem = NULL;
    struct db *db = db_new(&settings);
    if (!db)
        return command_outcome(DB_FAILED, "out of memory");
    enum db_outcome outcome = work(config, db, &found, &problem);
    int status = command_outcome(outcome, problem ? problem : db_message(db));
    db_free(db);
    if (status != EXIT_DONE || !config->status || !found.pending)
        return status;
    fprintf(stderr, "carbond: %d to be applied, by carbond migrate\n", found.pending);
    return EXIT_FAILED;
}
