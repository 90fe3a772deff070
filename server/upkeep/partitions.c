/* Makes the partitions of emissions that are missing, one a step, the latest first (migrations/0004_partitions.sql
 * tells which, 0010_attach.sql how). A month without one loses nothing: its emissions are in the default partition meanwhile. */
#include "base/log.h"
#include "ingest/ingest_metrics.h"
#include "statements.h"
#include "upkeep/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REST = 60 /* seconds: somebody may be bringing in the past */ };

enum { MONTH_SIZE = 48, REASON_SIZE = 256 };

/* What the statement answers; "" for null. */
struct attempt {
    char month[MONTH_SIZE];
    char outcome[16];
    char moved[24];
    char reason[REASON_SIZE];
};

struct partitions {
    char before[MONTH_SIZE];   /* the month tried last in this round; "": none yet */
    bool failed;               /* one of this round's */
    char trouble[REASON_SIZE]; /* what the log was told; "": nothing is wrong */
};

static void copy(char *to, size_t room, const char *from) {
    snprintf(to, room, "%s", from ? from : "");
}

static bool keep(void *context, const struct db_row *row) {
    struct attempt *attempt = context;
    copy(attempt->month, sizeof attempt->month, row->columns[0]);
    copy(attempt->outcome, sizeof attempt->outcome, row->columns[1]);
    copy(attempt->moved, sizeof attempt->moved, row->columns[2]);
    copy(attempt->reason, sizeof attempt->reason, row->columns[3]);
    return true;
}

static int64_t number(const char *text) {
    return text ? strtoll(text, NULL, 10) : METRIC_UNKNOWN;
}

static bool set_gauges(void *context, const struct db_row *row) {
    (void)context;
    metric_set(&ingest_metrics.partitions, number(row->columns[0]));
    metric_set(&ingest_metrics.default_rows, number(row->columns[1]));
    return true;
}

/* The log tells what is wrong once, and once that it no longer is. */
static void note_trouble(struct partitions *partitions, const struct attempt *attempt) {
    if (strcmp(partitions->trouble, attempt->reason) == 0)
        return;
    copy(partitions->trouble, sizeof partitions->trouble, attempt->reason);
    log_warn("a month has no partition yet", "month", attempt->month, "reason", attempt->reason);
}

static void note_health(struct partitions *partitions) {
    if (*partitions->trouble)
        log_info("no month lacks its partition any more");
    *partitions->trouble = '\0';
}

static enum upkeep_progress end_round(struct partitions *partitions, enum upkeep_progress progress) {
    *partitions->before = '\0';
    partitions->failed = false;
    return progress;
}

/* ---- what may come of an attempt */

static enum upkeep_progress made(struct partitions *partitions, const struct attempt *attempt) {
    (void)partitions;
    log_info("made a partition", "month", attempt->month, "emissions_moved", attempt->moved);
    return UPKEEP_MORE;
}

/* Who is in the way is so for the other months as well. */
static enum upkeep_progress held(struct partitions *partitions, const struct attempt *attempt) {
    note_trouble(partitions, attempt);
    return end_round(partitions, UPKEEP_AGAIN);
}

static enum upkeep_progress busy(struct partitions *partitions, const struct attempt *attempt) {
    (void)attempt;
    return end_round(partitions, UPKEEP_AGAIN);
}

/* What is wrong with one month need not be wrong with the next. */
static enum upkeep_progress failed(struct partitions *partitions, const struct attempt *attempt) {
    note_trouble(partitions, attempt);
    if (!*attempt->month) /* not even the months could be found */
        return end_round(partitions, UPKEEP_AGAIN);
    partitions->failed = true;
    copy(partitions->before, sizeof partitions->before, attempt->month);
    return UPKEEP_MORE;
}

static enum upkeep_progress none_missing(struct partitions *partitions, const struct attempt *attempt) {
    (void)attempt;
    if (partitions->failed)
        return end_round(partitions, UPKEEP_AGAIN);
    note_health(partitions);
    return end_round(partitions, UPKEEP_DONE);
}

static const struct {
    const char *outcome;
    enum upkeep_progress (*follow)(struct partitions *partitions, const struct attempt *attempt);
} outcomes[] = {
    {"", none_missing}, {"made", made}, {"busy", busy}, {"held", held}, {"failed", failed},
};

/* Makes the next one. */
static enum upkeep_progress make(const struct upkeep_means *means, struct partitions *partitions) {
    struct attempt attempt = {0};
    char ahead[24];
    snprintf(ahead, sizeof ahead, "%d", means->partitions_ahead);
    const char *values[] = {ahead, *partitions->before ? partitions->before : NULL};
    if (db_query(means->db, &sql_partition_make, values, keep, &attempt) != DB_OK)
        return end_round(partitions, UPKEEP_AGAIN);
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++)
        if (strcmp(attempt.outcome, outcomes[i].outcome) == 0)
            return outcomes[i].follow(partitions, &attempt);
    return end_round(partitions, UPKEEP_AGAIN);
}

static enum upkeep_progress step(const struct upkeep_means *means, void *memory) {
    enum upkeep_progress progress = make(means, memory);
    if (progress != UPKEEP_MORE) /* What cannot be counted leaves the gauges as they are. */
        (void)db_query(means->db, &sql_partition_count, NULL, set_gauges, NULL);
    return progress;
}

const struct upkeep_job partitions_job = {"partitions", REST, sizeof(struct partitions), step};
