/* The languages of servers, in one table. */
#pragma once

#include "lane.h"

#include <stdbool.h>

struct dialect {
    const char *name;
    const char *runs, *emissions; /* paths */
    bool batches;                 /* many emissions in a request, each with a verdict of its own */
};

const struct dialect *dialect_of(const struct outbound *out);

/* The server does not have the path of `work`: the next language it may speak is tried. False when there is none, or when
 * it is known what it speaks. */
bool dialect_try_next(struct outbound *out, enum lane_work work);

/* The server has acknowledged the creation of a run: under the id that was chosen here, or another one. */
void dialect_note_creation(struct outbound *out, bool keeps_id);
