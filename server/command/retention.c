/* retention: drops emissions that are older than they are kept, and keeps their sums; or tells what would go. */
#include "upkeep/retention.h"

#include "base/clock.h"
#include "base/timestamp.h"
#include "command/command.h"
#include "statements.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SECOND = 1000 * 1000,
    PATIENCE = 60 * SECOND, /* with others who are in the way */
    TELL_EVERY = 5 * SECOND,
};

/* ---- what would go */

static bool tell(void *context, const struct db_row *row) {
    const char *what = row->columns[0], *value = row->columns[1], *more = row->columns[2];
    (void)context;
    if (strcmp(what, "watermark") == 0)
        printf("emissions before %s would be dropped and refused; now: %s\n", value, more ? more : "none");
    else if (strcmp(what, "partition") == 0)
        printf("would drop %s, %s\n", value, more);
    else
        printf("would remove %s emissions that are in no month's partition\n", value);
    return true;
}

static enum db_outcome survey(struct db *db, const struct age *keep) {
    char interval[AGE_TEXT_SIZE], clock[TIMESTAMP_TEXT_SIZE];
    age_format(keep, interval);
    timestamp_format(clock_now(), clock);
    const char *values[] = {interval, clock};
    return db_query(db, &sql_retention_survey, values, tell, NULL);
}

/* ---- the work */

struct work {
    struct db *db;
    struct retention retention;
    int64_t partitions, removed; /* so far */
    int64_t came_on_at;          /* when the last step was taken that was not in vain */
    int64_t told_at;
};

/* What takes long says how far it is. */
static void tell_progress(struct work *work) {
    int64_t now = clock_monotonic();
    if (now - work->told_at < TELL_EVERY)
        return;
    work->told_at = now;
    fprintf(stderr, "carbond: looked through %" PRId64 " of %s pages for emissions without a partition\n",
            work->retention.page, work->retention.what);
}

/* An attempt holds up who stores for half a second at most: they go on meanwhile. False: that was the last one. */
static bool pause_for_others(const struct work *work) {
    if (clock_monotonic() - work->came_on_at >= PATIENCE)
        return false;
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    return true;
}

/* Whether there is more to do. */
static bool follow(struct work *work) {
    enum retention_outcome outcome = work->retention.outcome;
    if (outcome == RETENTION_BUSY || outcome == RETENTION_HELD)
        return pause_for_others(work);
    work->came_on_at = clock_monotonic();
    work->partitions += outcome == RETENTION_DROPPED;
    work->removed += work->retention.removed;
    if (outcome == RETENTION_RAISED)
        printf("emissions before %s are refused from now on\n", work->retention.what);
    if (outcome == RETENTION_DROPPED)
        printf("dropped %s\n", work->retention.what);
    if (outcome == RETENTION_REMOVED)
        tell_progress(work);
    fflush(stdout); /* it is told when it is done, and not before */
    return outcome != RETENTION_DONE && outcome != RETENTION_FAILED;
}

static int give_up(const struct retention *retention) {
    fprintf(stderr, "carbond: not all was done, and may be begun again: %s\n",
            retention->outcome == RETENTION_BUSY ? "another process is at work on the partitions"
                                                 : retention->what);
    return EXIT_FAILED;
}

static int conclude(const struct work *work) {
    if (work->retention.outcome != RETENTION_DONE)
        return give_up(&work->retention);
    printf("emissions are kept from %s on: %" PRId64 " partitions dropped, and %" PRId64
           " emissions that were in none\n",
           work->retention.what, work->partitions, work->removed);
    return EXIT_DONE;
}

static enum db_outcome drop(struct work *work, const struct age *keep) {
    enum db_outcome outcome;
    work->told_at = work->came_on_at = clock_monotonic();
    do
        outcome = retention_step(&work->retention, work->db, keep, NULL);
    while (outcome == DB_OK && follow(work));
    return outcome;
}

int command_retention(const struct config *config) {
    const struct db_settings settings = {.url = config->database_url};
    struct work work = {0};
    int status = command_open(&settings, &work.db);
    if (status != EXIT_DONE)
        return status;
    enum db_outcome outcome =
        config->dry_run ? survey(work.db, &config->retention) : drop(&work, &config->retention);
    status = command_outcome(outcome, db_message(work.db));
    db_free(work.db);
    return status != EXIT_DONE || config->dry_run ? status : conclude(&work);
}
