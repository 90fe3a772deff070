/* What the two programs have in common: commands, their help, and how they end. */
#pragma once

#include "arguments.h"

#include <stddef.h>

struct program_command {
    const char *name;
    unsigned command; /* whose options it takes: enum command */
    int (*act)(struct arguments *arguments);
    const char *help;
};

struct program {
    const char *name;
    const char *summary;
    const char *operands; /* after a command and its options */
    const struct program_command *commands;
    size_t count;
    const char *notes;
};

/* Runs the command that the first word names. Returns an exit status. */
int program_main(const struct program *program, int argc, char **argv);
