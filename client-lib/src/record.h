/* What the spool holds, as bytes: little-endian whatever the machine. A record is one of two things.
 *
 *     a run's creation   type 1 (1 byte), run id (16), emissions dropped (8), the body of POST /runs: JSON, to the end
 *     an emission        type 2 (1 byte), run id (16), id (16), timestamp (8), numbers (8 each) */
#pragma once

#include "emission.h"
#include "id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_type { RECORD_RUN = 1, RECORD_EMISSION = 2 };

enum {
    RECORD_LEAST = 1 + 16,
    RECORD_MOST = 64 * 1024,
    RECORD_RUN_HEAD = 1 + 16 + 8,
    RECORD_EMISSION_SIZE = 1 + 16 + 16 + 8 + 8 * EMISSION_NUMBERS,
    RECORD_JSON_MOST = RECORD_MOST - RECORD_RUN_HEAD,
};

struct record {
    enum record_type type;
    struct id run;
    /* a run's creation */
    uint64_t dropped; /* how many of its emissions the spool had to drop, so far */
    const char *json; /* belongs to whoever wrote the record, or to the bytes that were decoded */
    size_t json_length;
    /* an emission; its run is the run above */
    struct emission emission;
};

/* The number of bytes that encoding takes: at most RECORD_MOST where json_length is at most RECORD_JSON_MOST. */
size_t record_size(const struct record *record);

/* Writes record_size bytes. */
void record_encode(const struct record *record, unsigned char *bytes);

/* False for anything that record_encode did not write. The JSON is left as it is: whoever sends it does not read it. */
bool record_decode(const unsigned char *bytes, size_t length, struct record *record);
