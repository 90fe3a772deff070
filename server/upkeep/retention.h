/* Drops emissions that are older than they are kept, step by step, and keeps their sums (migrations/0009_retention.sql tells
 * how, and who waits for whom). Any number of processes may do it at once, and each may break off at any time. */
#pragma once

#include "base/age.h"
#include "db/connection.h"

#include <stdint.h>

enum retention_outcome {
    RETENTION_RAISED, /* emissions before the day `what` are refused from now on, and are going to be dropped */
    RETENTION_DROPPED, /* a partition: `what` is its name and size */
    RETENTION_REMOVED, /* some of the emissions that lie in no month's partition */
    RETENTION_DONE,    /* nothing is left before the day `what` */
    RETENTION_BUSY,    /* another process is at work on the partitions: later */
    RETENTION_HELD,    /* `what` is in the way: later */
    RETENTION_FAILED,  /* `what` is wrong */
    RETENTION_OUTCOMES
};

enum { RETENTION_WHAT_SIZE = 256 };

/* Where it has come to; zeros at first. */
struct retention {
    int64_t page; /* of the default partition */
    enum retention_outcome outcome;
    char what[RETENTION_WHAT_SIZE];
    int64_t removed; /* emissions, by this step */
};

/* One step: a statement. `who` is told to the audit (NULL: the command line). With any outcome but DB_OK nothing was done. */
enum db_outcome retention_step(struct retention *retention, struct db *db, const struct age *keep,
                               const char *who);
