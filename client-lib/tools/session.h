/* What the commands that send do with the library. */
#pragma once

#include "arguments.h"

/* Opens the client that the arguments ask for; what is wrong is told on standard error. `program` stands before each line
 * there. NULL: EXIT_USAGE. */
carbond_client *session_open(struct arguments *arguments, const char *program);

/* Waits as long as was asked for, closes the client, and says how it went: an exit status. */
int session_end(carbond_client *client, const struct arguments *arguments, const char *program);
