#include "ingest/ingest_metrics.h"

static const struct metric_bounds batch_sizes = {
    METRIC_NUMBER,
    13,
    {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000},
};

struct ingest_metrics ingest_metrics = {
    .batch = {.bounds = &batch_sizes},
    .commit = {.bounds = &metric_latency},
    .partitions = {METRIC_UNKNOWN},
    .default_rows = {METRIC_UNKNOWN},
};

/* clang-format off */

static const struct metric table[] = {
    {"carbond_emissions_total", "Emissions by what became of them.",
     {"result", "accepted"}, .counter = &ingest_metrics.accepted},
    {"carbond_emissions_total", NULL, {"result", "duplicate"}, .counter = &ingest_metrics.duplicate},
    {"carbond_emissions_total", NULL, {"result", "rejected"}, .counter = &ingest_metrics.rejected},

    {"carbond_ingest_batch_emissions", "Emissions that one statement stored together.",
     .histogram = &ingest_metrics.batch},
    {"carbond_ingest_commit_seconds", "Time from sending a batch to PostgreSQL until it has committed.",
     .histogram = &ingest_metrics.commit},
    {"carbond_ingest_retries_total", "Batches that were sent again.", .counter = &ingest_metrics.retries},

    {"carbond_ingest_queue_emissions", "Emissions that wait for a batch.", .gauge = &ingest_metrics.queued},
    {"carbond_ingest_queue_capacity", "Emissions that may wait for a batch.",
     .gauge = &ingest_metrics.queue_capacity},
    {"carbond_ingest_refused_total", "Emissions that were refused since the queue was full.",
     .counter = &ingest_metrics.refused},

    {"carbond_token_cache_hits_total", "Tokens that were found in the cache.", .counter = &ingest_metrics.token_hits},
    {"carbond_token_cache_misses_total", "Tokens that the database was asked for.",
     .counter = &ingest_metrics.token_misses},
    {"carbond_token_cache_entries", "Tokens in the cache.", .gauge = &ingest_metrics.token_entries},

    {"carbond_emission_partitions", "Partitions of the table of emissions, without the default one.",
     .gauge = &ingest_metrics.partitions},
    {"carbond_emission_default_rows", "Emissions in the default partition, whose month has none of its own.",
     .gauge = &ingest_metrics.default_rows},
};

/* clang-format on */

void ingest_metrics_write(struct buffer *out) {
    metric_write_table(out, table, sizeof table / sizeof table[0]);
}
