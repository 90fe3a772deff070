/* A connection to PostgreSQL. It connects when it is first used, and again when it was lost.
 *
 * One thread at a time uses a connection (each worker has its own); only db_interrupt may come from another. All calls
 * block until PostgreSQL has answered, at most for the statement timeout, 5 s for PostgreSQL to tell of it, and a connect
 * timeout of 2 s. If it has not told by then, all calls end with DB_AWAY at once until it does. */
#pragma once

#include "db/statement.h"

#include <stdbool.h>

struct db_settings {
    const char *url;          /* a libpq connection string or URI; may hold a password: never logged */
    int statement_timeout;    /* seconds; 0: none */
    bool prepared_statements; /* off: for poolers that hand each transaction to another session */
    bool key_lookups;         /* for statements that only look rows up by their keys: see session.c */
    bool replica; /* of db/replica.h, which tells in the log how it is; conflicts are not tried again */
};

/* Whether libpq can read the connection string, or URI. What is wrong with it nobody should print: it may quote the
 * password. */
bool db_url_is_valid(const char *url);

struct db;

enum db_outcome {
    DB_OK,
    DB_AWAY, /* cannot be reached, is shutting down, read-only, full ...: later, perhaps (the table in connection.c) */
    DB_REFUSED, /* a value that PostgreSQL does not take (22, 23 but 23505) */
    DB_TAKEN,   /* a unique value that is there already (23505) */
    DB_FAILED,  /* a mistake of ours: logged */
};

/* NULL when out of memory. The settings must outlive the connection. */
struct db *db_new(const struct db_settings *settings);
void db_free(struct db *db);

/* A row of an answer: column texts, NULL for null. They live until the callback returns. */
struct db_row {
    const char *columns[8];
    int count;
};

/* Called for each row in turn; false stops the statement, which is no failure. */
typedef bool db_row_handler(void *context, const struct db_row *row);

/* Takes the rows of a statement that may have to be run anew, on another database. */
struct db_taker {
    db_row_handler *take;
    bool (*forget)(void *context); /* the rows so far; false: they are out already */
    void *context;
};

/* Runs one statement in a transaction of its own. `values` are texts in the order of its parameters, NULL for null.
 * Rows go to the handler one by one, as they arrive: no more than one is held in memory. When the outcome is not DB_OK,
 * nothing was stored; rows may have been handled before the failure. (DB_AWAY alone may hide a commit whose
 * acknowledgement was lost.) What fails by a conflict with other sessions (40xxx, or a partition that was attached by hand for
 * its row) before its first row is tried again. */
enum db_outcome db_query(struct db *db, const struct db_statement *statement, const char *const *values,
                         db_row_handler *handler, void *context);

/* A parameter's value: its text, or what PostgreSQL's binary format of its type is (see db/array.h). */
struct db_value {
    const void *data; /* NULL: null */
    int size;         /* of binary data */
    bool binary;
};

/* db_query for values of either kind. */
enum db_outcome db_query_values(struct db *db, const struct db_statement *statement,
                                const struct db_value *values, db_row_handler *handler, void *context);

/* The same, for statements of which only the first row matters. Its first column is copied to *value (the caller frees
 * it), NULL for null or no row. */
enum db_outcome db_query_text(struct db *db, const struct db_statement *statement, const char *const *values,
                              char **value);

/* The same for a question that costs PostgreSQL nothing: without an answer in that time the outcome is DB_AWAY. */
enum db_outcome db_query_soon(struct db *db, const struct db_statement *statement, const char *const *values,
                              int milliseconds, char **value);

/* Runs a script of several statements without parameters, in one transaction, or in the one that an earlier script has begun.
 * Logs nothing: the caller tells of db_message. */
enum db_outcome db_script(struct db *db, const char *text);

/* Until this is taken back, a session that is lost is not replaced by another: all calls end with DB_AWAY. For transactions
 * that are begun in one call and go on in the next. */
void db_keep_session(struct db *db, bool keep);

/* Whether the last failure was a lock that others held for longer than lock_timeout, or by which they waited for us in turn
 * (a deadlock). The outcome is DB_AWAY. */
bool db_was_locked_out(const struct db *db);

/* Makes a statement that runs right now in another thread end with DB_AWAY at once, and so all later ones. Does not block:
 * PostgreSQL itself may work on it for another second. */
void db_interrupt(struct db *db);

/* What PostgreSQL said about the last failure; "" if nothing. Not for users: it may quote values. */
const char *db_message(const struct db *db);
