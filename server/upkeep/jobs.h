/* A job is done in steps. Each takes one statement or two, and leaves the database as any request may see it. */
#pragma once

#include "base/age.h"
#include "db/connection.h"

#include <stddef.h>

enum upkeep_progress {
    UPKEEP_DONE,  /* there is nothing to do: again after the job's usual rest */
    UPKEEP_MORE,  /* again when it is this job's turn */
    UPKEEP_AGAIN, /* it cannot be done now: again after a pause, which grows up to that rest */
};

/* What a step works with. */
struct upkeep_means {
    struct db *db;
    int statement_timeout; /* seconds, of the statements that serve requests */
    int partitions_ahead;  /* months */
    int audit_keep;        /* days */
    struct age retention;  /* of emissions; of 0: for good */
    int metrics_projects;  /* that are told of in /metrics */
};

struct upkeep_job {
    const char *name;
    int rest;           /* seconds */
    size_t memory_size; /* of what it remembers from step to step: zeros at first */
    enum upkeep_progress (*step)(const struct upkeep_means *means, void *memory);
};

extern const struct upkeep_job partitions_job, purge_job, expiry_job, retention_job, project_totals_job;
