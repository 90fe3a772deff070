#include "base/email.h"
#include "base/id.h"
#include "command/command.h"
#include "db/migrate.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int command_outcome(enum db_outcome outcome, const char *message) {
    switch (outcome) {
    case DB_OK: return EXIT_DONE;
    case DB_AWAY: fprintf(stderr, "carbond: the database is away: %s\n", message); return EXIT_DATABASE;
    case DB_TAKEN: fprintf(stderr, "carbond: this is there already: %s\n", message); return EXIT_FAILED;
    case DB_REFUSED:
    case DB_FAILED: break;
    }
    fprintf(stderr, "carbond: the database refused: %s\n", message);
    return EXIT_FAILED;
}

int command_no_memory(void) {
    fprintf(stderr, "carbond: out of memory\n");
    return EXIT_FAILED;
}

static int check_schema(struct db *db) {
    struct schema schema;
    enum db_outcome outcome = migrate_schema(db, &schema);
    if (outcome != DB_OK)
        return command_outcome(outcome, db_message(db));
    const char *misfit = migrate_misfit(&schema);
    if (misfit)
        fprintf(stderr, "carbond: %s\n", misfit);
    return misfit ? EXIT_FAILED : EXIT_DONE;
}

int command_open(const struct db_settings *settings, struct db **db) {
    *db = db_new(settings);
    int status = *db ? check_schema(*db) : command_no_memory();
    if (status == EXIT_DONE)
        return status;
    db_free(*db);
    *db = NULL;
    return status;
}

int command_query(const struct config *config, const struct db_statement *statement,
                  struct arguments *arguments, db_row_handler *handler, void *context) {
    const struct db_settings settings = {.url = config->database_url};
    const char *values[DB_PARAMETERS];
    struct db *db;
    int status = command_open(&settings, &db);
    if (status != EXIT_DONE)
        return status;
    if (!arguments_get(arguments, "caller"))
        arguments_set(arguments, "caller", "(,,t)");
    arguments_bind(arguments, statement, values);
    status = command_outcome(db_query(db, statement, values, handler, context), db_message(db));
    db_free(db);
    return status;
}

bool command_note_row(void *context, const struct db_row *row) {
    (void)row;
    *(bool *)context = true;
    return true;
}

struct id_printing {
    bool printed;
};

static bool print_id(void *context, const struct db_row *row) {
    struct id_printing *printing = context;
    json_t *answer = row->columns[0] ? json_loads(row->columns[0], JSON_DECODE_ANY, NULL) : NULL;
    const char *id = json_string_value(json_object_get(answer, "id"));
    if (id)
        printf("%s\n", id);
    printing->printed = id != NULL;
    json_decref(answer);
    return true;
}

int command_print_id(const struct config *config, const struct db_statement *statement,
                     struct arguments *arguments, const char *missing) {
    struct id_printing printing = {false};
    int status = command_query(config, statement, arguments, print_id, &printing);
    if (status != EXIT_DONE || printing.printed)
        return status;
    fprintf(stderr, "carbond: %s\n", missing);
    return EXIT_FAILED;
}

bool command_is_id(const char *option, const char *text) {
    struct id id;
    if (id_parse(text, &id))
        return true;
    fprintf(stderr, "carbond: --%s should be a UUID\n", option);
    return false;
}

bool command_is_email(const char *option, const char *text) {
    if (email_is_plausible(text))
        return true;
    fprintf(stderr, "carbond: --%s should be an e-mail address\n", option);
    return false;
}

bool command_read_line(const char *what, char *line, size_t room) {
    if (!fgets(line, (int)room, stdin))
        line[0] = '\0';
    size_t length = strcspn(line, "\r\n");
    if (length && length < room - 1) {
        line[length] = '\0';
        return true;
    }
    fprintf(stderr, "carbond: expected %s on standard input\n", what);
    return false;
}
