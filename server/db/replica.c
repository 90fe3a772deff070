#include "db/replica.h"

#include "base/clock.h"
#include "base/log.h"
#include "statements.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ANSWER = 2000,            /* milliseconds for it to tell how far it is */
    CATCHING_UP = 100 * 1000, /* microseconds that it is given for what it lacks */
    PAUSE = 2 * 1000 * 1000L, /* nanoseconds until it is asked again */
    REST = 2 * 1000 * 1000,   /* microseconds that it is left alone after it was no use */
};

struct replica_metrics replica_metrics = {.usable = {METRIC_UNKNOWN}};

/* ---- whether it may be asked */

/* While it is out, one thread at a time finds out whether it is back: the others need not wait for a connect that fails. */
static bool has_rested(struct replica *replica) {
    int64_t now = clock_monotonic(), until = atomic_load(&replica->rest_until);
    if (now < until)
        return false;
    return !atomic_load(&replica->out) ||
           atomic_compare_exchange_strong(&replica->rest_until, &until, now + REST);
}

/* The log tells once that it is no use, and once that it is again. */
static void note_use(struct replica *replica, const char *problem) {
    atomic_store(&replica->rest_until, problem ? clock_monotonic() + REST : 0);
    metric_set(&replica_metrics.usable, !problem);
    bool was_out = atomic_exchange(&replica->out, problem != NULL);
    if (problem && !was_out)
        log_warn("the replica is not read from", "reason", problem);
    if (!problem && was_out)
        log_info("the replica is read from again");
}

/* False: `problem` tells why. */
static bool catches_up(struct db *copy, const char *position, char *problem, size_t size) {
    int64_t deadline = clock_monotonic() + CATCHING_UP;
    const char *values[] = {position};
    for (;;) {
        char *lack;
        enum db_outcome outcome = db_query_soon(copy, &sql_replica_lacks, values, ANSWER, &lack);
        if (outcome == DB_OK && !lack)
            return true;
        snprintf(problem, size, "%s", lack ? lack : db_message(copy));
        free(lack);
        if (outcome != DB_OK || clock_monotonic() >= deadline)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE}, NULL);
    }
}

static bool is_current(const struct replica_reader *reader) {
    char *position, problem[256];
    if (!has_rested(reader->replica) ||
        db_query_text(reader->primary, &sql_replica_position, NULL, &position) != DB_OK)
        return false;
    bool current = catches_up(reader->copy, position, problem, sizeof problem);
    free(position);
    note_use(reader->replica, current ? NULL : problem);
    return current;
}

/* ---- asking it */

/* A value that PostgreSQL refuses says nothing of the replica. */
static void note_failure(const struct replica_reader *reader, const struct db_statement *statement,
                         enum db_outcome outcome) {
    const char *reason = db_message(reader->copy);
    log_warn("the replica did not answer", "statement", statement->name, "reason", reason);
    if (outcome == DB_AWAY)
        note_use(reader->replica, reason);
}

bool replica_query(const struct replica_reader *reader, const struct db_statement *statement,
                   const char *const *values, const struct db_taker *taker, enum db_outcome *outcome) {
    bool answered = false;
    if (is_current(reader)) {
        db_keep_session(reader->copy, true); /* another may lead to another replica, which nobody has asked */
        *outcome = db_query(reader->copy, statement, values, taker->take, taker->context);
        db_keep_session(reader->copy, false);
        if (*outcome != DB_OK)
            note_failure(reader, statement, *outcome);
        answered = *outcome == DB_OK || !taker->forget(taker->context);
    }
    metric_count(answered ? &replica_metrics.answered : &replica_metrics.left, 1);
    return answered;
}
