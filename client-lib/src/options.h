/* The options as they hold: what the program set, else the environment, else .codecarbon.config, else the default. */
#pragma once

#include "carbond.h"
#include "log.h"

#include <stdbool.h>

/* What the program set (NULL: nothing), whatever header it was compiled with. The texts stay the program's. False if it is no
 * such struct. */
bool options_read(const carbond_options *from, carbond_options *to);

/* Fills `options` from what was read, with copies of all texts: options_destroy frees them. What is wrong is logged.
 * CARBOND_OK, CARBOND_CONFIG, CARBOND_NO_MEMORY; there is nothing to free then. */
int options_resolve(const carbond_options *given, struct log *log, carbond_options *options);
void options_destroy(carbond_options *options);

/* Whether it may be sent as x-api-token: printable, and not too long. */
bool options_is_token(const char *token);
