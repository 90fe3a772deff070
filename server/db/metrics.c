#include "db/metrics.h"

#include "db/replica.h"

struct db_metrics db_metrics, db_replica_metrics;

/* clang-format off */

#define FIGURES(prefix, whose, database) \
    {prefix "_connections", "Connections to " database " that are open.", .gauge = &whose.connections}, \
    {prefix "_reconnects_total", "Connections to " database " that were made anew, after one was lost or given up.", \
     .counter = &whose.reconnects}, \
    {prefix "_statements_total", "Statements to " database " by how they ended.", \
     {"outcome", "ok"}, .counter = &whose.statements[DB_OK]}, \
    {prefix "_statements_total", NULL, {"outcome", "away"}, .counter = &whose.statements[DB_AWAY]}, \
    {prefix "_statements_total", NULL, {"outcome", "refused"}, .counter = &whose.statements[DB_REFUSED]}, \
    {prefix "_statements_total", NULL, {"outcome", "taken"}, .counter = &whose.statements[DB_TAKEN]}, \
    {prefix "_statements_total", NULL, {"outcome", "failed"}, .counter = &whose.statements[DB_FAILED]}

static const struct metric table[] = {
    FIGURES("carbond_database", db_metrics, "PostgreSQL"),
    FIGURES("carbond_replica", db_replica_metrics, "the replica"),
    {"carbond_replica_questions_total", "Questions that the replica may answer, by who answered them.",
     {"by", "replica"}, .counter = &replica_metrics.answered},
    {"carbond_replica_questions_total", NULL, {"by", "primary"}, .counter = &replica_metrics.left},
    {"carbond_replica_usable", "1: the replica was there, and not behind, when it was last asked.",
     .gauge = &replica_metrics.usable},
};

/* clang-format on */

void db_metrics_write(struct buffer *out) {
    metric_write_table(out, table, sizeof table / sizeof table[0]);
}
