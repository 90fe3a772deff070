/* Organizations, projects and experiments from the command line. */
#include "base/id.h"
#include "command/command.h"
#include "statements.h"

#include <stdio.h>

static bool keep_user_id(void *context, const struct db_row *row) {
    snprintf(context, ID_TEXT_SIZE, "%s", row->columns[0]);
    return true;
}

int command_organization_add(const struct config *config) {
    char user_id[ID_TEXT_SIZE] = "", caller[ID_TEXT_SIZE + 8];
    struct arguments admin = {0}, arguments = {0};
    arguments_set(&admin, "email", config->admin);
    int status = command_query(config, &sql_user_by_email, &admin, keep_user_id, user_id);
    if (status != EXIT_DONE)
        return status;
    if (!user_id[0]) {
        fprintf(stderr, "carbond: there is no user with the address %s\n", config->admin);
        return EXIT_FAILED;
    }
    snprintf(caller, sizeof caller, "(%s,,)", user_id);
    arguments_set(&arguments, "caller", caller);
    arguments_set(&arguments, "name", config->name);
    arguments_set(&arguments, "description", config->description);
    return command_print_id(config, &sql_organization_create, &arguments, "the organization was not added");
}

int command_project_add(const struct config *config) {
    struct arguments arguments = {0};
    if (!command_is_id("organization", config->organization))
        return EXIT_USAGE;
    arguments_set(&arguments, "organization_id", config->organization);
    arguments_set(&arguments, "name", config->name);
    arguments_set(&arguments, "description", config->description);
    return command_print_id(config, &sql_project_create, &arguments, "there is no organization with this id");
}

int command_experiment_add(const struct config *config) {
    struct arguments arguments = {0};
    if (!command_is_id("project", config->project))
        return EXIT_USAGE;
    arguments_set(&arguments, "project_id", config->project);
    arguments_set(&arguments, "name", config->name);
    arguments_set(&arguments, "description", config->description);
    return command_print_id(config, &sql_experiment_create, &arguments, "there is no project with this id");
}
