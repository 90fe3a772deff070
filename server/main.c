/* The command line: one table of commands. */
#include "base/json.h"
#include "command/command.h"
#include "config.h"
#include "db/password.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *first;
    const char *second; /* of commands of two words */
    unsigned options;
    int (*run)(const struct config *config);
    const char *help;
};

static const struct command commands[] = {
    {"serve", NULL, CONFIG_SERVE, command_serve, "serve the API"},
    {"health", NULL, CONFIG_HEALTH, command_health,
     "ask a server on this machine whether it is ready; fails if it is not"},
    {"migrate", NULL, CONFIG_MIGRATE, command_migrate, "bring the database's schema up to date"},
    {"openapi", NULL, CONFIG_OPENAPI, command_openapi, "print the specification of the API"},
    {"user", "add", CONFIG_USER_ADD, command_user_add, "add a user; prints the id"},
    {"user", "list", CONFIG_USER_LIST, command_user_list, "list all users: id, e-mail, name, whether active"},
    {"user", "passwd", CONFIG_USER_PASSWD, command_user_passwd, "set a user's password; ends their sessions"},
    {"organization", "add", CONFIG_ORGANIZATION_ADD, command_organization_add,
     "add an organization; prints the id"},
    {"organization", "list", CONFIG_ORGANIZATION_LIST, command_organization_list,
     "list all organizations: id, name, description"},
    {"project", "add", CONFIG_PROJECT_ADD, command_project_add, "add a project; prints the id"},
    {"project", "list", CONFIG_PROJECT_LIST, command_project_list,
     "list an organization's projects: id, name, description"},
    {"experiment", "add", CONFIG_EXPERIMENT_ADD, command_experiment_add, "add an experiment; prints the id"},
    {"experiment", "list", CONFIG_EXPERIMENT_LIST, command_experiment_list,
     "list a project's experiments: id, name, description"},
    {"token", "add", CONFIG_TOKEN_ADD, command_token_add, "make a project token; prints it, this once"},
    {"token", "list", CONFIG_TOKEN_LIST, command_token_list,
     "list a project's tokens: id, name, access (1 read, 2 write, 3 both), last used"},
    {"token", "revoke", CONFIG_TOKEN_REVOKE, command_token_revoke, "revoke a project token or user token"},
    {"audit", "list", CONFIG_AUDIT_LIST, command_audit_list,
     "list who did what, oldest first: when, what, from where, who, to whom or what, of which organization"},
    {"verify-sums", NULL, CONFIG_VERIFY_SUMS, command_verify_sums,
     "compare the sums with the emissions, run by run; fails if they differ"},
    {"retention", NULL, CONFIG_RETENTION, command_retention,
     "drop emissions that are older than they are kept; their sums stay"},
    {"version", NULL, CONFIG_VERSION, command_version, "print the version"},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

/* Those whose first word is this one, or all; returns how many. */
static int list_commands(const char *first, FILE *out) {
    int listed = 0;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        char name[32];
        if (first && strcmp(first, commands[i].first) != 0)
            continue;
        snprintf(name, sizeof name, "%s %s", commands[i].first, commands[i].second ? commands[i].second : "");
        fprintf(out, "  %-19s %s\n", name, commands[i].help);
        listed++;
    }
    return listed;
}

static void print_help(FILE *out) {
    fprintf(out, "carbond collects the energy and emissions of an organization's computing.\n\n"
                 "usage: carbond COMMAND [OPTION...]\n\n");
    list_commands(NULL, out);
    fprintf(out, "\ncarbond COMMAND --help tells a command's options.\n"
                 "Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 the database is away.\n");
}

static bool is_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static bool is_word(const char *word, const char *wanted) {
    return strcmp(word, wanted) == 0 || (strcmp(word, "--version") == 0 && strcmp(wanted, "version") == 0);
}

/* The command that the first words name, and how many they are. */
static const struct command *find_command(int argc, char **argv, int *words) {
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = &commands[i];
        *words = command->second ? 2 : 1;
        if (argc > *words && is_word(argv[1], command->first) &&
            (!command->second || strcmp(argv[2], command->second) == 0))
            return command;
    }
    return NULL;
}

static int print_command_help(const struct command *command) {
    printf("usage: carbond %s%s%s [OPTION...]\n%s\n\n", command->first, command->second ? " " : "",
           command->second ? command->second : "", command->help);
    config_help(command->options, stdout);
    return EXIT_DONE;
}

static bool is_usable(const char *url) {
    return !url || db_url_is_valid(url);
}

static int run(const struct command *command, int argc, char **argv) {
    struct config config;
    const char *wrong = config_read(&config, command->options, argc, argv);
    int status = EXIT_USAGE;
    if (wrong)
        fprintf(stderr, "carbond: %s (--help tells the options)\n", wrong);
    else if (config.help)
        status = print_command_help(command);
    else if (!is_usable(config.database_url) || !is_usable(config.database_url_read))
        fprintf(stderr,
                "carbond: --%s is no connection string of PostgreSQL (in a password, %% is %%25 and / is "
                "%%2F)\n",
                is_usable(config.database_url) ? "database-url-read" : "database-url");
    else if (config.database_password_file && (wrong = db_password_read(config.database_password_file)))
        fprintf(stderr, "carbond: --database-password-file %s: %s\n", config.database_password_file, wrong);
    else
        status = command->run(&config);
    config_free(&config);
    return status;
}

/* Output that could not be written is a failure, even if all else went well. */
static int finish(int status) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "carbond: cannot write to standard output\n");
    return status ? status : EXIT_FAILED;
}

/* For words that are no command: the help that was asked for, or what is wrong with them. */
static int explain(int argc, char **argv) {
    if (argc < 2 || is_help(argv[1])) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_USAGE : EXIT_DONE;
    }
    if (argc > 2 && is_help(argv[2]) && list_commands(argv[1], stdout) > 0)
        return EXIT_DONE;
    fprintf(stderr, "carbond: there is no command %s%s%s (carbond --help lists all)\n", argv[1],
            argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
    list_commands(argv[1], stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv) {
    int words;
    json_watch_memory();
    if (sodium_init() < 0) {
        fprintf(stderr, "carbond: cannot initialise libsodium\n");
        return EXIT_FAILED;
    }
    const struct command *command = find_command(argc, argv, &words);
    return finish(command ? run(command, argc - words, argv + words) : explain(argc, argv));
}
