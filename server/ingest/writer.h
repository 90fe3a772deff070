/* One writer: a thread with a connection of its own, which takes all jobs that wait in its queue as one batch, stores it
 * in one transaction, and tells each job after the commit what became of it. */
#pragma once

#include "ingest/ingest.h"
#include "ingest/queue.h"

struct writer;

/* Starts it. The settings and the backlog must outlive it. NULL when out of memory or threads. */
struct writer *writer_start(const struct ingest_settings *settings, struct ingest_backlog *backlog);

/* See ingest_submit. */
bool writer_submit(struct writer *writer, struct ingest_job *job);

/* Emissions that it has taken and not yet decided. */
size_t writer_load(const struct writer *writer);

/* Takes no more jobs, decides those that wait, and ends the thread. */
void writer_stop(struct writer *writer);
void writer_free(struct writer *writer);
