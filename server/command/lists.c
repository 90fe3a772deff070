/* What there is: a line each, its members separated by tabs. One table of lists. */
#include "command/command.h"
#include "statements.h"

#include <jansson.h>
#include <stdio.h>

enum { COLUMNS = 6 };

struct list {
    const struct db_statement *statement;
    const char *columns[COLUMNS]; /* members of the answer */
    const char *missing;          /* what to say when what it is about is not there; NULL: it may be empty */
};

static const struct list users = {&sql_user_list, {"id", "email", "name", "is_active"}, NULL};
static const struct list organizations = {&sql_organization_list, {"id", "name", "description"}, NULL};
static const struct list projects = {
    &sql_organization_projects, {"id", "name", "description"}, "there is no organization with this id"};
static const struct list experiments = {
    &sql_project_experiments, {"id", "name", "description"}, "there is no project with this id"};
static const struct list tokens = {
    &sql_project_token_list, {"id", "name", "access", "last_used"}, "there is no project with this id"};

static const struct list audit_records = {
    &sql_audit_list, {"timestamp", "action", "address", "actor", "target", "organization_id"}, NULL};

struct printing {
    const struct list *list;
    bool found;
};

/* A tab or a line break in a name would look like another column or line. */
static void print_text(const char *text) {
    for (; *text; text++)
        putchar((unsigned char)*text < ' ' ? ' ' : *text);
}

static void print_value(const json_t *value) {
    if (json_is_integer(value))
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_boolean(value))
        print_text(json_is_true(value) ? "yes" : "no");
    else
        print_text(json_is_string(value) ? json_string_value(value) : "-");
}

/* A row of nothing stands for "found, and empty". */
static bool print_row(void *context, const struct db_row *row) {
    struct printing *printing = context;
    json_t *object = row->columns[0] ? json_loads(row->columns[0], 0, NULL) : NULL;
    printing->found = true;
    for (int i = 0; object && i < COLUMNS && printing->list->columns[i]; i++) {
        if (i > 0)
            putchar('\t');
        print_value(json_object_get(object, printing->list->columns[i]));
    }
    if (object)
        putchar('\n');
    json_decref(object);
    return true;
}

static int print_list(const struct config *config, const struct list *list, const char *parameter,
                      const char *id) {
    struct printing printing = {.list = list};
    struct arguments arguments = {0};
    if (parameter)
        arguments_set(&arguments, parameter, id);
    int status = command_query(config, list->statement, &arguments, print_row, &printing);
    if (status != EXIT_DONE || printing.found || !list->missing)
        return status;
    fprintf(stderr, "carbond: %s\n", list->missing);
    return EXIT_FAILED;
}

int command_user_list(const struct config *config) {
    return print_list(config, &users, NULL, NULL);
}

int command_organization_list(const struct config *config) {
    return print_list(config, &organizations, NULL, NULL);
}

int command_project_list(const struct config *config) {
    if (!command_is_id("organization", config->organization))
        return EXIT_USAGE;
    return print_list(config, &projects, "organization_id", config->organization);
}

int command_experiment_list(const struct config *config) {
    if (!command_is_id("project", config->project))
        return EXIT_USAGE;
    return print_list(config, &experiments, "project_id", config->project);
}

int command_token_list(const struct config *config) {
    if (!command_is_id("project", config->project))
        return EXIT_USAGE;
    return print_list(config, &tokens, "project_id", config->project);
}

int command_audit_list(const struct config *config) {
    return print_list(config, &audit_records, NULL, NULL);
}
