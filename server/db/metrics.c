#include "db/metrics.h"

struct db_metrics db_metrics;

/* clang-format off */

static const struct metric table[] = {
    {"carbond_database_connections", "Connections to PostgreSQL that are open.", .gauge = &db_metrics.connections},
    {"carbond_database_reconnects_total", "Connections that were made anew, after one was lost or given up.",
     .counter = &db_metrics.reconnects},

    {"carbond_database_statements_total", "Statements by how they ended.",
     {"outcome", "ok"}, .counter = &db_metrics.statements[DB_OK]},
    {"carbond_database_statements_total", NULL, {"outcome", "away"}, .counter = &db_metrics.statements[DB_AWAY]},
    {"carbond_database_statements_total", NULL, {"outcome", "refused"}, .counter = &db_metrics.statements[DB_REFUSED]},
    {"carbond_database_statements_total", NULL, {"outcome", "taken"}, .counter = &db_metrics.statements[DB_TAKEN]},
    {"carbond_database_statements_total", NULL, {"outcome", "failed"}, .counter = &db_metrics.statements[DB_FAILED]},
};

/* clang-format on */

void db_metrics_write(struct buffer *out) {
    metric_write_table(out, table, sizeof table / sizeof table[0]);
}
