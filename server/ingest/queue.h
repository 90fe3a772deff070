/* The jobs that wait for a writer, in the order in which they came. Bounded by the number of emissions that wait in all
 * queues together, so that an overload is refused at once and memory stays flat. May be used from any thread; only taking
 * blocks. */
#pragma once

#include "ingest/job.h"

#include <stdatomic.h>

/* What several queues share. */
struct ingest_backlog {
    size_t capacity; /* in emissions */
    atomic_size_t emissions;
};

struct ingest_queue;

/* NULL when out of memory. */
struct ingest_queue *ingest_queue_new(struct ingest_backlog *backlog);
void ingest_queue_free(struct ingest_queue *queue);

/* False when it is full, or closed. */
bool ingest_queue_put(struct ingest_queue *queue, struct ingest_job *job);

/* Waits until there is a job, and takes all that wait, at most so many jobs and, beyond the first job, so many emissions.
 * A chain by `next`; NULL when the queue is closed and empty. */
struct ingest_job *ingest_queue_take(struct ingest_queue *queue, size_t jobs, size_t emissions);

/* Nothing more comes in. */
void ingest_queue_close(struct ingest_queue *queue);
bool ingest_queue_is_closed(struct ingest_queue *queue);
