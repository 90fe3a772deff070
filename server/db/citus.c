#include "db/citus.h"

#include "statements.h"

#include <stdlib.h>
#include <string.h>

enum db_outcome citus_check(struct db *db, const char **problem) {
    char *text;
    *problem = NULL;
    enum db_outcome outcome = db_query_text(db, &sql_citus_exists, NULL, &text);
    if (outcome == DB_OK && (!text || strcmp(text, "t") != 0)) {
        *problem = CITUS_MISSING;
        outcome = DB_REFUSED;
    }
    free(text);
    return outcome;
}

static bool add_step(void *context, const struct db_row *row) {
    struct buffer *script = context;
    /* Beside nobody who migrates. */
    if (!script->size)
        buffer_text(script, "begin;\nselect pg_advisory_xact_lock(hashtext('carbond migrations'));\n");
    buffer_text(script, row->columns[0]);
    buffer_text(script, ";\n");
    return true;
}

enum db_outcome citus_script(struct db *db, struct buffer *script) {
    enum db_outcome outcome = db_query(db, &sql_citus_steps, NULL, add_step, script);
    if (outcome == DB_OK && script->size)
        buffer_text(script, "commit;\n");
    return outcome;
}
