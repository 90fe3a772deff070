/* What jansson does not do when memory is short: it takes a text for malformed, or drops a character of it without a
 * word; and json_dumps answers a text in which the name of a member is missing. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* Once, before jansson is used, and before there are threads. */
void json_watch_memory(void);

/* Whether jansson has found no memory on this thread since this was last asked. What it has read meanwhile, or refused,
 * counts for nothing. */
bool json_lacked_memory(void);

/* Takes ownership of the document. The caller frees the text. NULL when out of memory, and for NULL. */
char *json_text(json_t *document);
