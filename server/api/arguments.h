/* The named values of one request: from its path, query, body and caller. A statement takes what it names. */
#pragma once

#include "db/statement.h"

#include <stdbool.h>
#include <stddef.h>

enum { ARGUMENTS = 48, ARGUMENT_TEXT = 48 };

struct argument {
    const char *name;
    const char *value;        /* NULL: null */
    char text[ARGUMENT_TEXT]; /* room for a value that was made here */
};

/* Values may point into it: not to be copied. */
struct arguments {
    struct argument items[ARGUMENTS];
    size_t count;
};

/* Borrows the value. A name that is there already gets the new value. */
struct argument *arguments_set(struct arguments *arguments, const char *name, const char *value);

/* Copies the value, which is shorter than ARGUMENT_TEXT. */
void arguments_set_copy(struct arguments *arguments, const char *name, const char *value);

/* NULL for null and for a name that is not there. */
const char *arguments_get(const struct arguments *arguments, const char *name);

/* The statement's values in the order of its parameters. */
void arguments_bind(const struct arguments *arguments, const struct db_statement *statement,
                    const char *values[DB_PARAMETERS]);
