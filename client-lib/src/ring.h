/* The ring between the program's threads and the spool: a bounded queue of emissions, of fixed size each. Any thread may
 * put, at any time, without a lock, an allocation or a system call; one at a time may take. */
#pragma once

#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct carbond_run;
struct ring;

/* What waits there: the emission, and its run for what the spool needs to know of it. */
struct ring_entry {
    struct carbond_run *run;
    struct emission emission;
};

/* `capacity` is rounded up to a power of two. NULL when out of memory. */
struct ring *ring_new(size_t capacity);
void ring_free(struct ring *ring);

size_t ring_capacity(const struct ring *ring);

/* How many wait; a moment's guess where others put and take. */
size_t ring_length(struct ring *ring);

/* Any thread. False when it is full. */
bool ring_put(struct ring *ring, const struct ring_entry *entry);

/* How many have ever been put, including those whose putters are just at it. */
uint64_t ring_position(struct ring *ring);

/* The taker: the one that is `ahead` behind the oldest, left where it is; NULL when there is none, or when its putter is not
 * done yet. The taker may change it. */
struct ring_entry *ring_peek(struct ring *ring, size_t ahead);

/* The taker: how many have ever been taken. */
uint64_t ring_taken(struct ring *ring);

/* The taker: frees the places of the oldest. */
void ring_drop(struct ring *ring, size_t count);

/* Forgets everything. No other thread may use the ring. */
void ring_clear(struct ring *ring);
