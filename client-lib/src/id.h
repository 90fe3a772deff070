/* UUIDs (RFC 9562). Those made here are version 7: they grow with time, as an index likes them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ID_TEXT_SIZE = 37, ID_POOL = 16 };

struct id {
    unsigned char bytes[16];
};

/* Makes ids; random bytes are drawn for many at once. Zeroed is a good beginning: after fork() in the child too, which
 * must not draw what its parent draws. Not for several threads at once. */
struct id_maker {
    uint64_t last; /* milliseconds and a counter, as one number */
    size_t left;
    unsigned char pool[ID_POOL][16];
};

struct id id_new(struct id_maker *maker);

/* Reads the 36-character form, in either case. */
bool id_parse(const char *text, struct id *id);

/* Writes the lower-case form and a NUL. */
void id_format(const struct id *id, char text[ID_TEXT_SIZE]);

bool id_equal(const struct id *a, const struct id *b);
