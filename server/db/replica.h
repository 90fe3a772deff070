/* A replica: a streaming standby of the database (--database-url-read) that answers questions in its place.
 *
 * What it answers is never older than what the primary would: it is asked only when it has replayed all that the primary
 * had stored when the question came, by whichever server, and on the primary's timeline. So who has made something finds
 * it, and who was shut out stays so. It is given a moment for that. Where it is behind, away, silent, or cancels a
 * statement for the sake of what it replays, the primary is asked, and the replica left alone for a while; then one question
 * finds out whether it is back.
 *
 * All threads of a server share one `struct replica`, and each has two connections of its own. */
#pragma once

#include "base/metric.h"
#include "db/connection.h"

#include <stdatomic.h>

/* Zero-initialise to start. */
struct replica {
    _Atomic int64_t rest_until; /* nobody asks it before (base/clock.h) */
    atomic_bool out;            /* it was no use when it was last asked */
};

struct replica_metrics {
    struct metric_counter answered;
    struct metric_counter left; /* to the primary */
    struct metric_gauge usable;
};

extern struct replica_metrics replica_metrics;

/* The two connections: `copy` is one whose settings say `replica`. */
struct replica_reader {
    struct replica *replica;
    struct db *copy;
    struct db *primary;
};

/* db_query on the replica. False: it is for the primary to answer, and no row is kept. Blocks as db_query does, and
 * before it at most some seconds: 2 to connect, 2 for the replica to tell how far it is, and 0.1 for it to catch up. */
bool replica_query(const struct replica_reader *reader, const struct db_statement *statement,
                   const char *const *values, const struct db_taker *taker, enum db_outcome *outcome);
