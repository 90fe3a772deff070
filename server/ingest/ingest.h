/* The way of an emission into the database. Requests leave their emissions in a bounded queue and wait; a writer takes
 * all that wait as one batch, stores it by one statement in one transaction, and tells each request what became of it
 * after the commit. Nothing waits on a timer: while one batch is committed, the next gathers. So the time it takes is
 * that of one commit when there is little to do, and the throughput that of batches when there is much. */
#pragma once

#include "ingest/job.h"

enum { INGEST_WRITERS = 16 };

struct ingest_settings {
    struct db_settings database;
    size_t writers;    /* 1 to INGEST_WRITERS: each a thread with a database connection */
    size_t queue_size; /* emissions that may wait for all writers together; beyond that they are refused */
    int patience;      /* milliseconds that an emission waits for a database that is away */
};

struct ingest;

/* Starts the writers. NULL when out of memory or threads. */
struct ingest *ingest_start(const struct ingest_settings *settings);

/* Hands a job over: `done` is called for it once, on a writer's thread. False, and nothing happens, when the queue is full
 * or closed. Never blocks; from any thread. */
bool ingest_submit(struct ingest *ingest, struct ingest_job *job);

/* Takes no more jobs, decides those that wait (with INGEST_AWAY, if the database does not answer), and ends the writers.
 * Jobs that are submitted afterwards are refused. */
void ingest_stop(struct ingest *ingest);

/* After ingest_stop, when nobody can submit any more. */
void ingest_free(struct ingest *ingest);
