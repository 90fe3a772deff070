/* The schema, step by step: migrations/NNNN_name.sql, forward only, embedded in the binary. */
#pragma once

#include "db/connection.h"

struct migration {
    int version;
    const char *name;
    const char *text;
};

/* All of them in order; the last has version 0. */
extern const struct migration migrations[];

/* The version that this binary was built for. */
int migrate_version_wanted(void);

/* The version that the database is at (0: none). */
enum db_outcome migrate_version(struct db *db, int *version);

/* What can be wrong with a database that this binary did not make. */
#define MIGRATE_NEWER "the database was migrated by a newer carbond"
#define MIGRATE_DIFFERS                                                                                      \
    "a migration was applied in another wording than this binary's: is this another program's database?"

enum migration_state {
    MIGRATION_PENDING,
    MIGRATION_APPLIED,
    MIGRATION_DIFFERS, /* it was applied in another wording than this binary's */
};

/* `applied_at` is a time to print, or NULL. */
typedef void migration_teller(void *context, const struct migration *migration, enum migration_state state,
                              const char *applied_at);

/* Tells of each migration in order. Changes nothing and takes no lock. */
enum db_outcome migrate_survey(struct db *db, migration_teller *tell, void *context);

/* Applies what is missing, each migration in a transaction of its own. Several processes may do this at once: one
 * works, the others wait. `report` is called after each migration that was applied. A database newer than this
 * binary, or one whose applied migration differs from ours, is DB_REFUSED; db_message does not tell then, *problem
 * does (a static text, or NULL). */
enum db_outcome migrate(struct db *db, void (*report)(const struct migration *), const char **problem);
