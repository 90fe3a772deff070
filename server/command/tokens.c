#include "auth/secret.h"
#include "command/command.h"
#include "statements.h"

#include <stdio.h>
#include <string.h>

/* As project_tokens.access: 1 reads, 2 writes, 3 both. */
static const char *access_number(const char *name) {
    if (strcmp(name, "read") == 0)
        return "1";
    return strcmp(name, "write") == 0 ? "2" : "3";
}

int command_token_add(const struct config *config) {
    char secret[SECRET_SIZE], hash[SECRET_HASH_SIZE];
    struct arguments arguments = {0};
    bool found = false;
    if (!command_is_id("project", config->project))
        return EXIT_USAGE;
    secret_new(SECRET_PROJECT_TOKEN, secret);
    secret_hash(secret, hash);
    arguments_set(&arguments, "project_id", config->project);
    arguments_set(&arguments, "name", config->name);
    arguments_set(&arguments, "access", access_number(config->access));
    arguments_set(&arguments, "token_hash", hash);
    int status = command_query(config, &sql_project_token_create, &arguments, command_note_row, &found);
    if (status != EXIT_DONE)
        return status;
    if (!found) {
        fprintf(stderr, "carbond: there is no project with this id\n");
        return EXIT_FAILED;
    }
    printf("%s\n", secret);
    return EXIT_DONE;
}

int command_token_revoke(const struct config *config) {
    char secret[256], hash[SECRET_HASH_SIZE];
    struct arguments arguments = {0};
    bool found = false;
    if (config->token_stdin == (config->id != NULL)) {
        fprintf(stderr, "carbond: one of --token-stdin and --id is needed\n");
        return EXIT_USAGE;
    }
    if (config->id && !command_is_id("id", config->id))
        return EXIT_USAGE;
    if (config->token_stdin && !command_read_line("a token", secret, sizeof secret))
        return EXIT_USAGE;
    if (config->token_stdin) {
        secret_hash(secret, hash);
        arguments_set(&arguments, "token_hash", hash);
    }
    arguments_set(&arguments, "id", config->id);
    int status = command_query(config, &sql_token_revoke, &arguments, command_note_row, &found);
    if (status != EXIT_DONE || found)
        return status;
    fprintf(stderr, "carbond: there is no such token, or it was revoked already\n");
    return EXIT_FAILED;
}
