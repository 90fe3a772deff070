/* The creation of a run: the body of POST /runs. */
#pragma once

#include "carbond.h"
#include "id.h"

#include <stddef.h>
#include <stdint.h>

struct creation {
    struct id id;
    char *json; /* not terminated; whoever made it frees it */
    size_t length;
};

/* `info` may be NULL, and the experiment as well, if the info names one.
 * CARBOND_OK, CARBOND_INVALID, CARBOND_NO_MEMORY. */
int creation_make(struct creation *creation, const carbond_run_info *info, const char *experiment_id,
                  struct id_maker *ids);

/* The same body with what was dropped, as a figure of the run: NULL when out of memory. The caller frees it. */
char *creation_with_dropped(const char *json, size_t length, uint64_t dropped, size_t *new_length);
