/* Structs of the program's, whose header may be older or newer than the library: they go by their sizes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The size that a struct had when it was first released, up to this member: no program has a smaller one. */
#define FIRST_SIZE(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))

/* Copies the part that both know; `to` holds the defaults of the rest. False if the size can be none. */
static inline bool read_versioned(void *to, size_t size, const void *from, size_t from_size, size_t least) {
    if (from_size < least)
        return false;
    memcpy(to, from, from_size < size ? from_size : size);
    return true;
}
