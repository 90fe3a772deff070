/* A lane: a few threads that take jobs from one bounded queue, each with a context of its own (say, a database
 * connection). The event thread never blocks on one: it reserves a place, prepares, and then pushes. */
#pragma once

#include "http/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lane_settings {
    const char *name; /* of its threads, at most 15 bytes */
    int threads;
    int share; /* of them, as many as work for one address at once; the rest is left to others. 0: all */
    size_t capacity; /* jobs that may wait */
    /* Made on the starting thread, one for each thread; NULL from `new_context` is a failure. */
    void *(*new_context)(void *owner);
    void (*free_context)(void *context);
    /* Called from any thread to end what a context blocks on. */
    void (*interrupt)(void *context);
    void *owner;
    void (*work)(void *job, void *context);
};

struct lane;

/* NULL when out of memory or threads. The settings are copied. */
struct lane *lane_new(const struct lane_settings *settings);

/* A place in the queue; false: full, or ended. Each place taken must be filled by lane_push, which tells for whom the job is
 * (as http_address_counted), and when it is late: by a clock of the caller's, and no sooner than those before it. Neither
 * blocks. */
bool lane_reserve(struct lane *lane);
void lane_push(struct lane *lane, void *job, const struct http_address *client, int64_t late_at);

/* Takes a job back that still waits for a thread and is late by now; NULL when there is none. From any thread; does not
 * block. */
void *lane_take_late(struct lane *lane, int64_t now);

struct lane_figures {
    const char *name;
    int64_t waiting;
    int64_t capacity;
    int64_t refused; /* places that could not be had */
    int64_t late;    /* jobs that were taken back */
    int64_t threads;
    int64_t busy; /* threads at work */
};

/* How much there is to do right now. */
void lane_look(struct lane *lane, struct lane_figures *figures);

/* Interrupts what the threads do right now. */
void lane_interrupt(struct lane *lane);

/* Has no more places, works off what is queued, and ends the threads. Others may use the lane meanwhile and afterwards. */
void lane_end(struct lane *lane);

/* Ends it and frees everything. No other thread may use the lane any more. */
void lane_free(struct lane *lane);
