#include "db/migrate.h"

#include "base/clock.h"
#include "statements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOCK_PAUSE = 1000, TURN_PAUSE = 100 }; /* milliseconds */

int migrate_version_wanted(void) {
    int version = 0;
    for (const struct migration *m = migrations; m->version; m++)
        version = m->version;
    return version;
}

/* ---- what the database says */

static bool read_schema(void *context, const struct db_row *row) {
    struct schema *schema = context;
    schema->version = (int)strtol(row->columns[0], NULL, 10);
    schema->oldest_server = (int)strtol(row->columns[1], NULL, 10);
    return true;
}

enum db_outcome migrate_schema(struct db *db, struct schema *schema) {
    char *text;
    *schema = (struct schema){0};
    enum db_outcome outcome = db_query_text(db, &sql_schema_exists, NULL, &text);
    bool exists = outcome == DB_OK && text && strcmp(text, "t") == 0;
    free(text);
    if (outcome != DB_OK || !exists)
        return outcome;
    return db_query(db, &sql_schema_version, NULL, read_schema, schema);
}

bool migrate_is_too_old(const struct schema *schema) {
    return schema->version < migrate_version_wanted();
}

bool migrate_is_too_new(const struct schema *schema) {
    return schema->oldest_server > migrate_version_wanted();
}

const char *migrate_misfit(const struct schema *schema) {
    if (migrate_is_too_old(schema))
        return "the database's schema is too old: run carbond migrate";
    return migrate_is_too_new(schema) ? "the database's schema is too new: run a newer carbond" : NULL;
}

struct record {
    enum migration_state state;
    char applied_at[64];
};

static bool read_record(void *context, const struct db_row *row) {
    struct record *record = context;
    record->state = strcmp(row->columns[1], "t") == 0 ? MIGRATION_APPLIED : MIGRATION_DIFFERS;
    snprintf(record->applied_at, sizeof record->applied_at, "%s", row->columns[0]);
    return true;
}

static enum db_outcome look_up(struct db *db, const struct migration *migration, const struct schema *schema,
                               struct record *record) {
    char version[16];
    snprintf(version, sizeof version, "%d", migration->version);
    const char *values[] = {migration->text, version};
    *record =
        (struct record){migration->version > schema->version ? MIGRATION_PENDING : MIGRATION_MISSING, ""};
    return schema->version ? db_query(db, &sql_schema_state, values, read_record, record) : DB_OK;
}

/* NULL: it is as it should be. */
static const char *problem_of(enum migration_state state) {
    static const char *const problems[] = {
        [MIGRATION_PENDING] = NULL,
        [MIGRATION_APPLIED] = NULL,
        [MIGRATION_DIFFERS] = MIGRATE_DIFFERS,
        [MIGRATION_MISSING] = MIGRATE_MISSING,
    };
    return problems[state];
}

enum db_outcome migrate_survey(struct db *db, migration_teller *tell, void *context, const char **problem) {
    struct schema schema;
    *problem = NULL;
    enum db_outcome outcome = migrate_schema(db, &schema);
    if (outcome == DB_OK && migrate_is_too_new(&schema))
        *problem = MIGRATE_NEWER;
    for (const struct migration *m = migrations; outcome == DB_OK && m->version; m++) {
        struct record record;
        outcome = look_up(db, m, &schema, &record);
        if (outcome == DB_OK && tell)
            tell(context, m, record.state, record.applied_at[0] ? record.applied_at : NULL);
        if (outcome == DB_OK && !*problem)
            *problem = problem_of(record.state);
    }
    return outcome == DB_OK && *problem ? DB_REFUSED : outcome;
}

/* ---- applying */

/* While a lock of a table is waited for, whoever comes behind waits as well. That is given up before deadlock_timeout
 * (1 s): where servers and a migration wait for each other, it is the migration that gives way.
 *
 * The table of migrations is no migration's: it must be there before the first. Older releases made it without its last
 * column, which is not even looked for by adding it, since that would lock out who reads the table. A database that was
 * made before its encoding was looked at goes on. */
static enum db_outcome make_records(struct db *db) {
    return db_script(db, "set local lock_timeout = '500ms';"
                         "do $$ begin"
                         "    if to_regclass('schema_migrations') is null"
                         "       and current_setting('server_encoding') <> 'UTF8' then"
                         "        raise exception using errcode = 'invalid_parameter_value', message ="
                         "            'its encoding is ' || current_setting('server_encoding') ||"
                         "            ': make it by createdb --template=template0 --encoding=UTF8';"
                         "    end if;"
                         "end $$;"
                         "create table if not exists schema_migrations ("
                         "    version       integer primary key,"
                         "    name          text not null,"
                         "    checksum      text not null,"
                         "    applied_at    timestamptz not null default now());"
                         "do $$ begin"
                         "    if not exists (select from pg_attribute"
                         "                    where attrelid = 'schema_migrations'::regclass"
                         "                      and attname = 'oldest_server') then"
                         "        alter table schema_migrations"
                         "            add column oldest_server integer not null default 0;"
                         "    end if;"
                         "end $$");
}

/* The turn ends with the transaction: whoever waited for it finds the work done. A new session may begin it, if the one of the
 * last attempt is gone; none may go on with it. */
static enum db_outcome begin(struct db *db, bool *our_turn) {
    char *turn = NULL;
    enum db_outcome outcome = db_script(db, "begin isolation level read committed");
    db_keep_session(db, true);
    if (outcome == DB_OK)
        outcome = db_query_text(db, &sql_schema_turn, NULL, &turn);
    *our_turn = outcome == DB_OK && turn;
    free(turn);
    return *our_turn ? make_records(db) : outcome;
}

static enum db_outcome apply(struct db *db, const struct migration *migration) {
    char version[16], oldest_server[16];
    snprintf(version, sizeof version, "%d", migration->version);
    snprintf(oldest_server, sizeof oldest_server, "%d", migration->oldest_server);
    enum db_outcome outcome = db_script(db, migration->text);
    if (outcome != DB_OK)
        return outcome;
    const char *values[] = {version, migration->name, migration->text, oldest_server};
    char *recorded;
    outcome = db_query_text(db, &sql_schema_record, values, &recorded);
    free(recorded);
    return outcome;
}

struct attempt {
    bool our_turn; /* otherwise nothing was tried: another process migrates */
    bool applied;
};

/* In our turn: another process may have applied it meanwhile. */
static enum db_outcome step(struct db *db, const struct migration *migration, bool *applied,
                            const char **problem) {
    struct schema schema;
    struct record record;
    enum db_outcome outcome = migrate_schema(db, &schema);
    if (outcome == DB_OK)
        outcome = look_up(db, migration, &schema, &record);
    if (outcome != DB_OK)
        return outcome;
    *problem = problem_of(record.state);
    if (*problem)
        return DB_REFUSED;
    *applied = record.state == MIGRATION_PENDING;
    return *applied ? apply(db, migration) : DB_OK;
}

static enum db_outcome attempt(struct db *db, const struct migration *migration, struct attempt *attempt,
                               const char **problem) {
    *attempt = (struct attempt){0};
    enum db_outcome outcome = begin(db, &attempt->our_turn);
    if (outcome == DB_OK && attempt->our_turn)
        outcome = step(db, migration, &attempt->applied, problem);
    if (outcome == DB_OK)
        outcome = db_script(db, "commit");
    else
        db_script(db, "rollback");
    db_keep_session(db, false);
    return outcome;
}

static bool end_within(const struct migrate_settings *settings, int milliseconds) {
    const struct timespec pause = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
    if (settings->end_within)
        return settings->end_within(milliseconds);
    nanosleep(&pause, NULL);
    return false;
}

/* Again and again, while it is nothing but a lock; and for as long as another process migrates. */
static enum db_outcome attempt_patiently(struct db *db, const struct migration *migration,
                                         const struct migrate_settings *settings, const char **problem) {
    const int64_t longest = (int64_t)settings->lock_wait * 1000 * 1000;
    int64_t locked_since = 0;
    for (;;) {
        struct attempt tried;
        enum db_outcome outcome = attempt(db, migration, &tried, problem);
        bool locked = outcome == DB_AWAY && db_was_locked_out(db),
             waits = outcome == DB_OK && !tried.our_turn;
        if (outcome == DB_OK && tried.applied)
            settings->tell(MIGRATION_DONE, migration);
        if (!locked && !waits)
            return outcome;
        bool first_time = locked && !locked_since;
        if (first_time)
            locked_since = clock_monotonic();
        if (locked && clock_monotonic() - locked_since >= longest) {
            *problem = MIGRATE_LOCKED;
            return DB_REFUSED;
        }
        if (first_time)
            settings->tell(MIGRATION_WAITS, migration);
        if (end_within(settings, locked ? LOCK_PAUSE : TURN_PAUSE))
            return DB_AWAY;
    }
}

enum db_outcome migrate(struct db *db, const struct migrate_settings *settings, const char **problem) {
    struct schema schema;
    enum db_outcome outcome = migrate_survey(db, NULL, NULL, problem);
    if (outcome == DB_OK)
        outcome = migrate_schema(db, &schema);
    for (const struct migration *m = migrations; outcome == DB_OK && m->version; m++) {
        if (m->version <= schema.version)
            continue;
        outcome = attempt_patiently(db, m, settings, problem);
        if (outcome != DB_OK)
            settings->tell(MIGRATION_FAILED, m);
    }
    return outcome;
}
