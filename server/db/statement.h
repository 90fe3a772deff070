/* A statement of sql/, made into C at build time (embed.py). Its parameters have names there and numbers here. */
#pragma once

enum { DB_PARAMETERS = 24 };

struct db_statement {
    const char *name; /* the file's, without .sql; also its name as a prepared statement */
    int index;        /* among db_statements */
    int parameter_count;
    const char *parameters[DB_PARAMETERS + 1]; /* the name of $1, of $2 ..., and NULL */
    const char *text;
};

/* All of them, and NULL. */
extern const struct db_statement *const db_statements[];
extern const int db_statement_count;
