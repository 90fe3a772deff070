/* The commands of carbond. Each returns its exit status. */
#pragma once

#include "api/arguments.h"
#include "config.h"
#include "db/connection.h"

enum exit_status {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,   /* it was understood and could not be done */
    EXIT_USAGE = 2,    /* wrong options or configuration */
    EXIT_DATABASE = 3, /* the database is away */
};

int command_serve(const struct config *config);
int command_health(const struct config *config);
int command_migrate(const struct config *config);
int command_openapi(const struct config *config);
int command_user_add(const struct config *config);
int command_user_list(const struct config *config);
int command_user_passwd(const struct config *config);
int command_organization_add(const struct config *config);
int command_organization_list(const struct config *config);
int command_project_add(const struct config *config);
int command_project_list(const struct config *config);
int command_experiment_add(const struct config *config);
int command_experiment_list(const struct config *config);
int command_token_add(const struct config *config);
int command_token_list(const struct config *config);
int command_audit_list(const struct config *config);
int command_token_revoke(const struct config *config);
int command_verify_sums(const struct config *config);
int command_retention(const struct config *config);
int command_version(const struct config *config);

/* ---- for the commands that run a statement */

/* Says what went wrong on standard error; EXIT_DONE for DB_OK. */
int command_outcome(enum db_outcome outcome, const char *message);

/* Says that there is no memory. */
int command_no_memory(void);

/* The database, for db_free; the settings must live as long. Not EXIT_DONE, with a word on standard error, if it is away or
 * its schema does not fit this binary. */
int command_open(const struct db_settings *settings, struct db **db);

/* Runs a statement as an administrator of everything, each row to the handler. */
int command_query(const struct config *config, const struct db_statement *statement,
                  struct arguments *arguments, db_row_handler *handler, void *context);

/* A row handler that sets the bool that is its context. */
bool command_note_row(void *context, const struct db_row *row);

/* The same for statements whose answer is a resource: prints its id. `missing` is said when there is no answer. */
int command_print_id(const struct config *config, const struct db_statement *statement,
                     struct arguments *arguments, const char *missing);

/* Checks that a text is a UUID; otherwise says that --OPTION should be one. */
bool command_is_id(const char *option, const char *text);

/* The same for an e-mail address. */
bool command_is_email(const char *option, const char *text);

/* Reads one line of standard input without its end. False, with a word on standard error, if it is empty or too long. */
bool command_read_line(const char *what, char *line, size_t room);
