/* Emissions of many requests, stored by one statement: sql/emission_append.sql for what trackers usually send, otherwise
 * sql/emission_store.sql. Used by one thread. */
#pragma once

#include "ingest/job.h"

struct batch_row {
    const struct emission *emission;
    const struct token_holder *holder;
    struct ingest_job *job;
    unsigned char *verdict;
    int pair; /* the number of its run and holder in the statement */
};

struct batch;

/* NULL when out of memory. */
struct batch *batch_new(void);
void batch_free(struct batch *batch);

/* Sorts the rows by their keys, as batch_store wants them. */
void batch_sort(struct batch_row *rows, size_t count);

/* Stores them in one transaction. With DB_OK every row has its verdict; with any other outcome nothing is stored, but
 * that DB_AWAY may hide a commit: storing the same again is harmless, and no job is fresh any more. Blocks on the
 * database. */
enum db_outcome batch_store(struct batch *batch, struct db *db, struct batch_row *rows, size_t count);
