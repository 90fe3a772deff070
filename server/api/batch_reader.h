/* Takes a batch apart without building a tree of it, so that a hostile body of 16 MiB takes no more memory than that:
 * each element is handed on as text. The texts must have a NUL somewhere behind them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Called for each element in turn; false stops the reading. */
typedef bool batch_element(void *context, const char *text, size_t size);

/* NDJSON: one element a line, blank lines left out. False if it was stopped. */
bool batch_read_lines(const char *text, size_t size, batch_element *element, void *context);

enum batch_found {
    BATCH_FOUND,   /* all elements were handed on */
    BATCH_STOPPED, /* by the callback */
    BATCH_MALFORMED,
    BATCH_NO_LIST, /* well-formed so far, but without the list */
};

/* {"emissions": [element, ...]}: other members are ignored (up to 64 KiB each), the last of several lists counts. What an element is, is left
 * to the callback, which must stop at one that is no JSON; all around the elements is checked here. */
enum batch_found batch_read_document(const char *text, size_t size, batch_element *element, void *context);
