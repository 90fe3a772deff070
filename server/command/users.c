#include "auth/password.h"
#include "command/command.h"
#include "statements.h"

#include <stdio.h>
#include <string.h>

enum { SHORTEST_PASSWORD = 8, LINE_SIZE = 1100 };

/* Reads a password and hashes it; EXIT_DONE, or what to exit with. */
static int read_password(char hash[PASSWORD_HASH_SIZE]) {
    char line[LINE_SIZE];
    if (!command_read_line("a password", line, sizeof line))
        return EXIT_USAGE;
    if (strlen(line) < SHORTEST_PASSWORD) {
        fprintf(stderr, "carbond: a password has at least %d characters\n", SHORTEST_PASSWORD);
        return EXIT_USAGE;
    }
    if (password_hash(line, hash))
        return EXIT_DONE;
    return command_no_memory();
}

int command_user_add(const struct config *config) {
    char hash[PASSWORD_HASH_SIZE];
    struct arguments arguments = {0};
    if (!command_is_email("email", config->email) || (config->id && !command_is_id("id", config->id)))
        return EXIT_USAGE;
    if (config->password_stdin) {
        int status = read_password(hash);
        if (status != EXIT_DONE)
            return status;
        arguments_set(&arguments, "password_hash", hash);
    }
    arguments_set(&arguments, "id", config->id);
    arguments_set(&arguments, "email", config->email);
    arguments_set(&arguments, "name", config->name);
    return command_print_id(config, &sql_user_create, &arguments, "the user was not added");
}

int command_user_passwd(const struct config *config) {
    char hash[PASSWORD_HASH_SIZE];
    struct arguments arguments = {0};
    bool found = false;
    if (!config->password_stdin) {
        fprintf(stderr, "carbond: --password-stdin is missing\n");
        return EXIT_USAGE;
    }
    int status = read_password(hash);
    if (status != EXIT_DONE)
        return status;
    arguments_set(&arguments, "password_hash", hash);
    arguments_set(&arguments, "email", config->email);
    status = command_query(config, &sql_user_set_password, &arguments, command_note_row, &found);
    if (status != EXIT_DONE || found)
        return status;
    fprintf(stderr, "carbond: there is no user with the address %s\n", config->email);
    return EXIT_FAILED;
}
