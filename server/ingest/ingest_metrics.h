/* What ingest tells of itself at /metrics. Whoever does a thing counts it, from any thread:
 *
 *     metric_count(&ingest_metrics.accepted, stored);
 *     metric_observe(&ingest_metrics.commit, clock_monotonic() - began);
 */
#pragma once

#include "base/metric.h"

struct ingest_metrics {
    /* emissions, by what became of them */
    struct metric_counter accepted;
    struct metric_counter duplicate;
    struct metric_counter rejected;

    struct metric_histogram batch;  /* emissions of one statement */
    struct metric_histogram commit; /* microseconds from sending a statement until it has committed */
    struct metric_counter retries;  /* statements that were sent again */

    struct metric_gauge queued; /* emissions that wait for a batch */
    struct metric_gauge queue_capacity;
    struct metric_counter refused; /* emissions that found the queue full */

    struct metric_counter token_hits;
    struct metric_counter token_misses;
    struct metric_gauge token_entries;

    /* As upkeep/partitions.c last found them; METRIC_UNKNOWN until then. */
    struct metric_gauge partitions;
    struct metric_gauge default_rows;
};

extern struct ingest_metrics ingest_metrics;

void ingest_metrics_write(struct buffer *out);
