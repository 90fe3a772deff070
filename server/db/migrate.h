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

/* Applies what is missing, each migration in a transaction of its own. Several processes may do this at once: one
 * works, the others wait. `report` is called after each migration that was applied. A database newer than this
 * binary, or one whose applied migration differs from ours, is DB_REFUSED; db_message does not tell then, *problem
 * does (a static text, or NULL). */
enum db_outcome migrate(struct db *db, void (*report)(const struct migration *), const char **problem);
