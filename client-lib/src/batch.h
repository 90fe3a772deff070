/* A request's worth of emissions: which records of the spool they are, and their text, compressed as it grows. */
#pragma once

#include "emission.h"
#include "runs.h"
#include "segment.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define ZLIB_CONST
#include <zlib.h>

/* A record of the spool that is being sent. */
struct batch_entry {
    struct segment *segment; /* held by the lane */
    struct carbond_run *run;
    uint64_t offset;
    uint32_t index;
};

struct batch {
    struct batch_entry *entries;
    size_t count, capacity;
    unsigned char *body;
    size_t length, size;
    size_t plain; /* the length before compression */
    bool is_gzip;
    z_stream stream;
};

/* False when out of memory. */
bool batch_init(struct batch *batch, size_t capacity);
void batch_destroy(struct batch *batch);

/* Begins a new one. */
void batch_begin(struct batch *batch, bool is_gzip);

/* Adds an emission as a line. `run` is the run's id as the server knows it. False when out of memory: the batch is
 * spoilt then. The caller sees to it that there is room for an entry. */
bool batch_add(struct batch *batch, const struct batch_entry *entry, const struct emission *emission,
               const struct id *run);

/* Ends it: body and length are what is to be sent. False when out of memory. */
bool batch_end(struct batch *batch);
