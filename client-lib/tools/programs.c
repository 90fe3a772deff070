#include "programs.h"

#include <string.h>

static int print_help(const struct program *program, FILE *out, int status) {
    fprintf(out, "%s %s\n\nusage: %s COMMAND [OPTION...]%s\n\n", program->name, program->summary,
            program->name, program->operands);
    for (size_t i = 0; i < program->count; i++)
        fprintf(out, "  %-10s %s\n", program->commands[i].name, program->commands[i].help);
    fprintf(out, "\n%s COMMAND --help tells a command's options, %s --version its version.\n\n%s",
            program->name, program->name, program->notes);
    return status;
}

static int run(const struct program *program, const struct program_command *command, int argc, char **argv) {
    struct arguments arguments;
    const char *fault = arguments_read(&arguments, command->command, argc, argv);
    if (fault) {
        fprintf(stderr, "%s: %s (--help tells the options)\n", program->name, fault);
        return EXIT_USAGE;
    }
    if (!arguments.help)
        return command->act(&arguments);
    printf("usage: %s %s [OPTION...]%s\n%s\n\n", program->name, command->name, program->operands,
           command->help);
    arguments_help(command->command, stdout);
    return EXIT_DONE;
}

static int obey(const struct program *program, int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--help") == 0)
        return print_help(program, stdout, EXIT_DONE);
    if (strcmp(word, "--version") == 0)
        return printf("%s %s\n", program->name, carbond_version()) > 0 ? EXIT_DONE : EXIT_FAILED;
    for (size_t i = 0; i < program->count; i++)
        if (strcmp(word, program->commands[i].name) == 0)
            return run(program, &program->commands[i], argc - 1, argv + 1);
    if (argc < 2)
        return print_help(program, stderr, EXIT_USAGE);
    fprintf(stderr, "%s: no such command: %s (--help lists them)\n", program->name, word);
    return EXIT_USAGE;
}

/* Output that could not be written is a failure, even if all else went well. */
int program_main(const struct program *program, int argc, char **argv) {
    int status = obey(program, argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "%s: standard output can't be written\n", program->name);
    return status ? status : EXIT_FAILED;
}
