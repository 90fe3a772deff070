/* An emission on its way into the database. */
#pragma once

#include "base/id.h"

#include <stdint.h>

/* Its numbers, in the order of emission_number_names; units as in the specification. */
enum emission_number {
    EMISSION_DURATION,
    EMISSION_SUM,
    EMISSION_RATE,
    EMISSION_CPU_POWER,
    EMISSION_GPU_POWER,
    EMISSION_RAM_POWER,
    EMISSION_CPU_ENERGY,
    EMISSION_GPU_ENERGY,
    EMISSION_RAM_ENERGY,
    EMISSION_ENERGY_CONSUMED,
    EMISSION_CPU_UTILIZATION,
    EMISSION_GPU_UTILIZATION,
    EMISSION_RAM_UTILIZATION,
    EMISSION_WUE,
    EMISSION_NUMBERS
};

extern const char *const emission_number_names[EMISSION_NUMBERS];

struct emission {
    struct id run;
    int64_t timestamp; /* microseconds since 1970 */
    struct id id;
    double numbers[EMISSION_NUMBERS]; /* NAN: null */
};

/* By run, timestamp and id, as the primary key of the table sorts: below 0, 0 (the same emission), or above. */
int emission_compare(const struct emission *a, const struct emission *b);
