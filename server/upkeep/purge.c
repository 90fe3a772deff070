/* Removes what deleted projects leave, chunk by chunk, from the leaves to the root. A project's rows go once it has been
 * deleted for longer than any statement may run that could still write below it. */
#include "base/id.h"
#include "base/log.h"
#include "statements.h"
#include "upkeep/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REST = 2 /* seconds */, GRACE_FACTOR = 2 };

/* Each removes a chunk and tells its size; when there is nothing left for it, it is the next one's turn. */
static const struct db_statement *const chunks[] = {&sql_purge_runs, &sql_purge_rest, &sql_purge_end};

enum { CHUNKS = sizeof chunks / sizeof chunks[0] };

struct purge {
    char project[ID_TEXT_SIZE]; /* "": none at hand */
    size_t chunk;
};

static enum upkeep_progress give_up(struct purge *purge) {
    *purge = (struct purge){0};
    return UPKEEP_AGAIN;
}

static enum upkeep_progress look(const struct upkeep_means *means, struct purge *purge) {
    char grace[24];
    snprintf(grace, sizeof grace, "%d", GRACE_FACTOR * means->statement_timeout);
    const char *values[] = {grace};
    char *project;
    if (db_query_text(means->db, &sql_purge_project, values, &project) != DB_OK)
        return give_up(purge);
    *purge = (struct purge){0};
    if (project)
        snprintf(purge->project, sizeof purge->project, "%s", project);
    free(project);
    return *purge->project ? UPKEEP_MORE : UPKEEP_DONE;
}

static enum upkeep_progress remove_chunk(const struct upkeep_means *means, struct purge *purge) {
    const char *values[] = {purge->project};
    char *removed;
    if (db_query_text(means->db, chunks[purge->chunk], values, &removed) != DB_OK)
        return give_up(purge);
    bool nothing = !removed || strcmp(removed, "0") == 0;
    free(removed);
    purge->chunk += nothing;
    return UPKEEP_MORE;
}

static enum upkeep_progress step(const struct upkeep_means *means, void *memory) {
    struct purge *purge = memory;
    if (!*purge->project)
        return look(means, purge);
    if (purge->chunk < CHUNKS)
        return remove_chunk(means, purge);
    log_info("removed what a deleted project left", "project", purge->project);
    *purge = (struct purge){0};
    return UPKEEP_MORE;
}

const struct upkeep_job purge_job = {"purge", REST, sizeof(struct purge), step};
