/* An emission as the library keeps it, and the one table of its numbers: what is spooled, what is checked and what is sent
 * follow it. */
#pragma once

#include "carbond.h"
#include "id.h"

#include <stdbool.h>

enum { EMISSION_NUMBERS = 14 };

struct emission {
    struct id run;
    struct id id;
    bool has_id;                      /* false: one is made before it is written */
    int64_t timestamp;                /* microseconds since 1970-01-01T00:00:00Z */
    double numbers[EMISSION_NUMBERS]; /* in the order of the table; NaN: unknown */
};

/* Fills all but the run. False where something is out of its range, as carbond_emit tells its callers. */
bool emission_read(const carbond_emission *from, struct emission *to);

enum { EMISSION_JSON_SIZE = 1024 };

/* Writes it as the JSON object that servers take, without a NUL; returns its length. `run` is the run's id there. */
size_t emission_print(const struct emission *emission, const struct id *run, char text[EMISSION_JSON_SIZE]);
