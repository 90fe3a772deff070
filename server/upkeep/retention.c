#include "upkeep/retention.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/timestamp.h"
#include "statements.h"
#include "upkeep/jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REST = 3600 /* seconds */ };

/* ---- a step */

/* As the statement says them. */
static const char *const outcomes[RETENTION_OUTCOMES] = {
    [RETENTION_RAISED] = "raised", [RETENTION_DROPPED] = "dropped", [RETENTION_REMOVED] = "removed",
    [RETENTION_DONE] = "done",     [RETENTION_BUSY] = "busy",       [RETENTION_HELD] = "held",
    [RETENTION_FAILED] = "failed",
};

static bool keep_answer(void *context, const struct db_row *row) {
    struct retention *retention = context;
    for (int i = 0; i < RETENTION_OUTCOMES; i++)
        if (strcmp(row->columns[0], outcomes[i]) == 0)
            retention->outcome = (enum retention_outcome)i;
    snprintf(retention->what, sizeof retention->what, "%s", row->columns[1] ? row->columns[1] : "");
    retention->removed = row->columns[2] ? strtoll(row->columns[2], NULL, 10) : 0;
    if (row->columns[3])
        retention->page = strtoll(row->columns[3], NULL, 10);
    return true;
}

enum db_outcome retention_step(struct retention *retention, struct db *db, const struct age *keep,
                               const char *who) {
    char interval[AGE_TEXT_SIZE], clock[TIMESTAMP_TEXT_SIZE], page[24];
    age_format(keep, interval);
    timestamp_format(clock_now(), clock);
    snprintf(page, sizeof page, "%" PRId64, retention->page);
    const char *values[] = {interval, clock, who, page};
    retention->outcome = RETENTION_FAILED; /* unless it says what we know */
    return db_query(db, &sql_retention_step, values, keep_answer, retention);
}

/* ---- as a job of the server */

struct memory {
    struct retention retention;
    int64_t removed;                   /* emissions of the default partition, so far */
    char trouble[RETENTION_WHAT_SIZE]; /* what the log was told; "": nothing is wrong */
};

/* The log tells what is wrong once. */
static enum upkeep_progress trouble(struct memory *memory) {
    const char *what = memory->retention.what;
    if (strcmp(memory->trouble, what) != 0)
        log_warn("old emissions cannot be dropped yet", "reason", what);
    snprintf(memory->trouble, sizeof memory->trouble, "%s", what);
    return UPKEEP_AGAIN;
}

static enum upkeep_progress done(struct memory *memory) {
    if (memory->removed)
        log_info("removed old emissions that were in no month's partition", "emissions",
                 log_number(memory->removed).text);
    *memory = (struct memory){0};
    return UPKEEP_DONE;
}

static enum upkeep_progress follow(struct memory *memory) {
    switch (memory->retention.outcome) {
    case RETENTION_RAISED:
        log_info("emissions before this are refused from now on", "day", memory->retention.what);
        return UPKEEP_MORE;
    case RETENTION_DROPPED:
        log_info("dropped a partition", "partition", memory->retention.what);
        return UPKEEP_MORE;
    case RETENTION_REMOVED: memory->removed += memory->retention.removed; return UPKEEP_MORE;
    case RETENTION_DONE: return done(memory);
    case RETENTION_BUSY: return UPKEEP_AGAIN;
    case RETENTION_HELD:
    case RETENTION_FAILED:
    case RETENTION_OUTCOMES: break;
    }
    return trouble(memory);
}

static enum upkeep_progress step(const struct upkeep_means *means, void *memory) {
    struct memory *own = memory;
    if (!means->retention.count)
        return UPKEEP_DONE;
    if (retention_step(&own->retention, means->db, &means->retention, "server") != DB_OK)
        return UPKEEP_AGAIN;
    return follow(own);
}

const struct upkeep_job retention_job = {"retention", REST, sizeof(struct memory), step};
