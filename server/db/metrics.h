/* What all connections of this process to PostgreSQL, and those to its replica, tell of themselves at /metrics. */
#pragma once

#include "base/metric.h"
#include "db/connection.h"

enum { DB_OUTCOMES = DB_FAILED + 1 };

struct db_metrics {
    struct metric_gauge connections; /* open now */
    struct metric_counter reconnects;
    struct metric_counter statements[DB_OUTCOMES]; /* by enum db_outcome */
};

extern struct db_metrics db_metrics, db_replica_metrics;

void db_metrics_write(struct buffer *out);
