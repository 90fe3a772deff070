/* The schema, step by step: migrations/NNNN_name.sql, forward only, embedded in the binary. migrations/README.md tells how
 * one is written that the servers of the release before survive. */
#pragma once

#include "db/connection.h"

struct migration {
    int version;
    int oldest_server; /* the version that a server must have been built for to work on it; 0: any */
    const char *name;
    const char *text;
};

/* All of them in order; the last has version 0. */
extern const struct migration migrations[];

/* The version that this binary was built for. */
int migrate_version_wanted(void);

/* What a database says of its schema. */
struct schema {
    int version;       /* 0: there is none */
    int oldest_server; /* what a server must have been built for to work on it; 0: any */
};

enum db_outcome migrate_schema(struct db *db, struct schema *schema);

/* Whether a server of this binary works on it. A newer schema is as good as ours until a migration says otherwise. */
bool migrate_is_too_old(const struct schema *schema);
bool migrate_is_too_new(const struct schema *schema);

/* For whoever wants to work on it: what is wrong with it and what to do, or NULL. */
const char *migrate_misfit(const struct schema *schema);

/* What can be wrong with a database that this binary did not make, or with the moment. */
#define MIGRATE_NEWER "the database was migrated by a newer carbond, and this one no longer works on it"
#define MIGRATE_DIFFERS                                                                                      \
    "a migration was applied in another wording than this binary's: is this another program's database?"
#define MIGRATE_MISSING                                                                                      \
    "a migration is missing before one that was applied: is this another program's database?"
#define MIGRATE_LOCKED                                                                                       \
    "others held a lock that a migration needs for all of --lock-wait; pg_stat_activity tells who"

enum migration_state {
    MIGRATION_PENDING,
    MIGRATION_APPLIED,
    MIGRATION_DIFFERS, /* it was applied in another wording than this binary's */
    MIGRATION_MISSING, /* it was not applied, and a later one was */
};

/* `applied_at` is a time to print, or NULL. */
typedef void migration_teller(void *context, const struct migration *migration, enum migration_state state,
                              const char *applied_at);

/* Tells of each migration in order, unless `tell` is NULL. Changes nothing and takes no lock. A database that this binary
 * cannot go on from is DB_REFUSED; db_message does not tell then, *problem does (a static text, else NULL). */
enum db_outcome migrate_survey(struct db *db, migration_teller *tell, void *context, const char **problem);

enum migration_event {
    MIGRATION_DONE,
    MIGRATION_WAITS, /* others hold a lock that it needs: told once, and then it is tried again and again */
    MIGRATION_FAILED,
};

struct migrate_settings {
    int lock_wait; /* seconds in which a migration is tried again while others hold a lock that it needs */
    void (*tell)(enum migration_event event, const struct migration *migration);
    /* Waits for so many milliseconds; true if it is time to end: then migrate answers DB_AWAY. NULL: it never is. */
    bool (*end_within)(int milliseconds);
};

/* Applies what is missing, each migration in a transaction of its own: it is applied and recorded, or nothing of it
 * remains. Several processes may do this at once: one works, the others wait. While a migration waits for a lock, who
 * comes after it waits as well: half a second at most, then it lets them pass before it tries again. A database that has all
 * of ours is left alone, be it newer or not. *problem as above. */
enum db_outcome migrate(struct db *db, const struct migrate_settings *settings, const char **problem);
