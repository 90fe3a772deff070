/* UUIDs (RFC 9562). Version 4 for what people name in URLs, version 7 for emissions, so that an index on them grows
 * at its edge. All functions may be called from any thread. */
#pragma once

#include <stdbool.h>

enum { ID_TEXT_SIZE = 37 };

struct id {
    unsigned char bytes[16];
};

/* Reads the 36-character form, in either case. False if `text` is anything else. */
bool id_parse(const char *text, struct id *id);

/* Writes the lower-case form and a NUL. */
void id_format(const struct id *id, char text[ID_TEXT_SIZE]);

struct id id_new_v4(void);

/* Ids made one after the other by one process sort in that order, even when the clock steps back. */
struct id id_new_v7(void);
