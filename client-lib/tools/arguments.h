/* The command lines of carbond-send and carbond-spool: one table of options. */
#pragma once

#include "carbond.h"

#include <stdbool.h>
#include <stdio.h>

enum command {
    SEND_RUN = 1 << 0,
    SEND_EMISSION = 1 << 1,
    SPOOL_LIST = 1 << 2,
    SPOOL_FLUSH = 1 << 3,
    SPOOL_VERIFY = 1 << 4,
};

enum exit_status {
    EXIT_DONE = 0,
    EXIT_FAILED = 1, /* something was not accepted, or refused, or is damaged */
    EXIT_USAGE = 2,
    EXIT_LATER = 3, /* all is in the spool, not all of it delivered */
};

struct arguments {
    carbond_options options;
    carbond_run_info info;
    carbond_emission emission;
    const char *run;
    const char *token_file;
    double wait; /* s */
    bool lines, any_url, verbose, help;
    char token[4096 + 2]; /* what the file holds */
};

/* Reads what follows the command's own words. NULL, or what is wrong: a sentence, valid until the next call. */
const char *arguments_read(struct arguments *arguments, unsigned command, int argc, char **argv);

/* Tells the options of a command. */
void arguments_help(unsigned command, FILE *out);

/* Set a member of an emission by the name that it has in the API, run_id among them; any other is passed over. The text must
 * stay. NULL, or what is wrong. */
const char *arguments_set_text(struct arguments *arguments, const char *member, const char *text);
const char *arguments_set_number(struct arguments *arguments, const char *member, double number);
