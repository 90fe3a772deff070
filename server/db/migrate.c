#include "db/migrate.h"

#include "statements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int migrate_version_wanted(void) {
    int version = 0;
    for (const struct migration *m = migrations; m->version; m++)
        version = m->version;
    return version;
}

enum db_outcome migrate_version(struct db *db, int *version) {
    char *text;
    *version = 0;
    enum db_outcome outcome = db_query_text(db, &sql_schema_exists, NULL, &text);
    bool exists = outcome == DB_OK && text && strcmp(text, "t") == 0;
    free(text);
    if (outcome != DB_OK || !exists)
        return outcome;
    outcome = db_query_text(db, &sql_schema_version, NULL, &text);
    if (outcome == DB_OK && text)
        *version = (int)strtol(text, NULL, 10);
    free(text);
    return outcome;
}

struct state {
    enum migration_state state;
    char applied_at[64];
};

static bool read_state(void *context, const struct db_row *row) {
    struct state *state = context;
    state->state = strcmp(row->columns[1], "t") == 0 ? MIGRATION_APPLIED : MIGRATION_DIFFERS;
    snprintf(state->applied_at, sizeof state->applied_at, "%s", row->columns[0]);
    return true;
}

enum db_outcome migrate_survey(struct db *db, migration_teller *tell, void *context) {
    char version[16];
    int current;
    enum db_outcome outcome = migrate_version(db, &current);
    for (const struct migration *m = migrations; outcome == DB_OK && m->version; m++) {
        struct state state = {.state = MIGRATION_PENDING};
        snprintf(version, sizeof version, "%d", m->version);
        const char *values[] = {m->text, version};
        if (current > 0)
            outcome = db_query(db, &sql_schema_state, values, read_state, &state);
        if (outcome == DB_OK)
            tell(context, m, state.state, state.applied_at[0] ? state.applied_at : NULL);
    }
    return outcome;
}

/* The lock ends with the transaction: whoever waited for it finds the work done. */
static enum db_outcome begin(struct db *db) {
    return db_script(db, "begin;"
                         "select pg_advisory_xact_lock(hashtext('carbond migrations'));"
                         "create table if not exists schema_migrations ("
                         "    version    integer primary key,"
                         "    name       text not null,"
                         "    checksum   text not null,"
                         "    applied_at timestamptz not null default now())");
}

static enum db_outcome apply(struct db *db, const struct migration *migration) {
    char version[16];
    snprintf(version, sizeof version, "%d", migration->version);
    enum db_outcome outcome = db_script(db, migration->text);
    if (outcome != DB_OK)
        return outcome;
    const char *values[] = {version, migration->name, migration->text};
    char *recorded;
    outcome = db_query_text(db, &sql_schema_record, values, &recorded);
    free(recorded);
    return outcome;
}

static enum db_outcome check_applied(struct db *db, const struct migration *migration, const char **problem) {
    char version[16];
    snprintf(version, sizeof version, "%d", migration->version);
    const char *values[] = {version, migration->text};
    char *differs;
    enum db_outcome outcome = db_query_text(db, &sql_schema_differs, values, &differs);
    if (outcome == DB_OK && differs) {
        *problem = MIGRATE_DIFFERS;
        outcome = DB_REFUSED;
    }
    free(differs);
    return outcome;
}

/* One migration, with the lock held. */
static enum db_outcome step(struct db *db, const struct migration *migration, bool *applied,
                            const char **problem) {
    int version;
    *applied = false;
    enum db_outcome outcome = migrate_version(db, &version);
    if (outcome != DB_OK)
        return outcome;
    if (version > migrate_version_wanted()) {
        *problem = MIGRATE_NEWER;
        return DB_REFUSED;
    }
    if (version >= migration->version)
        return check_applied(db, migration, problem);
    *applied = true;
    return apply(db, migration);
}

enum db_outcome migrate(struct db *db, void (*report)(const struct migration *), const char **problem) {
    *problem = NULL;
    for (const struct migration *m = migrations; m->version; m++) {
        bool applied = false;
        enum db_outcome outcome = begin(db);
        if (outcome == DB_OK)
            outcome = step(db, m, &applied, problem);
        if (outcome == DB_OK)
            outcome = db_script(db, "commit");
        else
            db_script(db, "rollback");
        if (outcome != DB_OK)
            return outcome;
        if (applied && report)
            report(m);
    }
    return DB_OK;
}
