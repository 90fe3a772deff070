/* Removes sessions that have expired, and user tokens that did so long ago: each POST /authenticate leaves one. */
#include "statements.h"
#include "upkeep/jobs.h"

#include <stdlib.h>
#include <string.h>

enum { REST = 600 /* seconds */ };

static enum upkeep_progress step(const struct upkeep_means *means, void *memory) {
    (void)memory;
    char *removed;
    if (db_query_text(means->db, &sql_expired_remove, NULL, &removed) != DB_OK)
        return UPKEEP_AGAIN;
    bool nothing = !removed || strcmp(removed, "0") == 0;
    free(removed);
    return nothing ? UPKEEP_DONE : UPKEEP_MORE;
}

const struct upkeep_job expiry_job = {"expiry", REST, 0, step};
