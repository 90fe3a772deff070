/* Removes sessions that have expired, user tokens that did so long ago (each POST /authenticate leaves one), and audit records
 * that have been kept long enough. */
#include "statements.h"
#include "upkeep/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REST = 600 /* seconds */ };

static enum upkeep_progress step(const struct upkeep_means *means, void *memory) {
    (void)memory;
    char audit_keep[16], *removed;
    const char *values[] = {audit_keep};
    snprintf(audit_keep, sizeof audit_keep, "%d", means->audit_keep);
    if (db_query_text(means->db, &sql_expired_remove, values, &removed) != DB_OK)
        return UPKEEP_AGAIN;
    bool nothing = !removed || strcmp(removed, "0") == 0;
    free(removed);
    return nothing ? UPKEEP_DONE : UPKEEP_MORE;
}

const struct upkeep_job expiry_job = {"expiry", REST, 0, step};
