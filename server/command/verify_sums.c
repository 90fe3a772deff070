/* verify-sums: are the sums what the emissions add up to? Chunk by chunk, each in one snapshot, while servers write. */
#include "base/clock.h"
#include "base/id.h"
#include "command/command.h"
#include "statements.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CHUNK_RUNS = 100,
    CHUNK_ROOM = CHUNK_RUNS + 1,  /* the first chunk begins with a place of its own */
    TELL_EVERY = 5 * 1000 * 1000, /* microseconds */
    /* Each waits half a second for a lock (rebuild_sums): a minute in all. The pause is for those who queue behind. */
    REBUILD_ATTEMPTS = 120,
    REBUILD_PAUSE = 10 * 1000 * 1000, /* nanoseconds */
};

struct wrong_run {
    char id[ID_TEXT_SIZE];
    bool orphaned; /* emissions without a run: no sums can mend that */
};

struct verification {
    struct db *db;
    char last[ID_TEXT_SIZE]; /* the run that came last; "": none yet */
    bool any;                /* the chunk had one */
    struct wrong_run wrong[CHUNK_ROOM];
    size_t wrong_count; /* of the chunk */
    int64_t runs, emissions, differing, repaired;
    int64_t told_at;
};

/* ---- comparing */

static void begin_run(struct verification *verification, const char *id, const char *emissions) {
    int64_t count = strtoll(emissions, NULL, 10);
    snprintf(verification->last, sizeof verification->last, "%s", id);
    verification->any = true;
    verification->runs += count > 0;
    verification->emissions += count;
}

/* The findings of a run come one after the other. */
static struct wrong_run *wrong_run(struct verification *verification, const char *id) {
    size_t count = verification->wrong_count;
    if (count > 0 && strcmp(verification->wrong[count - 1].id, id) == 0)
        return &verification->wrong[count - 1];
    if (count == CHUNK_ROOM)
        abort(); /* The statement answers for fewer runs, whatever the data. */
    struct wrong_run *run = &verification->wrong[verification->wrong_count++];
    *run = (struct wrong_run){0};
    snprintf(run->id, sizeof run->id, "%s", id);
    verification->differing++;
    return run;
}

static bool take_row(void *context, const struct db_row *row) {
    struct verification *verification = context;
    const char *id = row->columns[0], *emissions = row->columns[1], *what = row->columns[2];
    if (strcmp(verification->last, id) != 0)
        begin_run(verification, id, emissions);
    if (!what)
        return true;
    if (strcmp(what, "emissions") == 0)
        wrong_run(verification, id)->orphaned = true;
    else
        wrong_run(verification, id);
    printf("run %s: %s: %s\n", id, what, row->columns[3]);
    return true;
}

static enum db_outcome compare_chunk(struct verification *verification) {
    char runs[16], after[ID_TEXT_SIZE];
    struct arguments arguments = {0};
    const char *values[DB_PARAMETERS];
    snprintf(runs, sizeof runs, "%d", CHUNK_RUNS);
    memcpy(after, verification->last, sizeof after);
    arguments_set(&arguments, "runs", runs);
    arguments_set(&arguments, "after", *after ? after : NULL);
    arguments_bind(&arguments, &sql_sums_verify, values);
    verification->any = false;
    verification->wrong_count = 0;
    return db_query(verification->db, &sql_sums_verify, values, take_row, verification);
}

/* ---- repairing */

/* As the statement answers (migrations/0009_retention.sql). */
enum rebuilding { REBUILT, UNCLEAR, HELD };

static const struct {
    const char *answer, *sentence;
} rebuildings[] = {
    [REBUILT] = {"rebuilt", "sums made anew"},
    [UNCLEAR] = {"unclear",
                 "not repaired: its totals count more from before emissions were dropped than its hours do"},
    [HELD] = {"held", "not repaired: other sessions hold its lock"},
};

static enum db_outcome try_rebuild(struct db *db, const char *id, enum rebuilding *rebuilding) {
    const char *values[] = {id};
    char *answer;
    enum db_outcome outcome = db_query_text(db, &sql_sums_rebuild, values, &answer);
    *rebuilding = HELD;
    for (int i = 0; outcome == DB_OK && answer && i < HELD; i++)
        if (strcmp(answer, rebuildings[i].answer) == 0)
            *rebuilding = (enum rebuilding)i;
    free(answer);
    return outcome;
}

static enum db_outcome repair_run(struct verification *verification, const struct wrong_run *run) {
    enum rebuilding rebuilding;
    enum db_outcome outcome = try_rebuild(verification->db, run->id, &rebuilding);
    for (int attempts = 1; outcome == DB_OK && rebuilding == HELD && attempts < REBUILD_ATTEMPTS;
         attempts++) {
        nanosleep(&(struct timespec){.tv_nsec = REBUILD_PAUSE}, NULL);
        outcome = try_rebuild(verification->db, run->id, &rebuilding);
    }
    if (outcome != DB_OK)
        return outcome;
    verification->repaired += rebuilding == REBUILT && !run->orphaned;
    printf("run %s: %s\n", run->id, rebuildings[rebuilding].sentence);
    return DB_OK;
}

static enum db_outcome repair_chunk(struct verification *verification) {
    enum db_outcome outcome = DB_OK;
    for (size_t i = 0; outcome == DB_OK && i < verification->wrong_count; i++)
        outcome = repair_run(verification, &verification->wrong[i]);
    return outcome;
}

/* ---- the whole */

/* What takes long says how far it is. */
static void tell_progress(struct verification *verification) {
    int64_t now = clock_monotonic();
    if (now - verification->told_at < TELL_EVERY)
        return;
    verification->told_at = now;
    fprintf(stderr, "carbond: compared %" PRId64 " emissions of %" PRId64 " runs so far\n",
            verification->emissions, verification->runs);
}

static enum db_outcome verify(struct verification *verification, bool repair) {
    enum db_outcome outcome;
    verification->told_at = clock_monotonic();
    do {
        outcome = compare_chunk(verification);
        if (outcome == DB_OK && repair)
            outcome = repair_chunk(verification);
        tell_progress(verification);
    } while (outcome == DB_OK && verification->any);
    return outcome;
}

int command_verify_sums(const struct config *config) {
    const struct db_settings settings = {.url = config->database_url};
    struct verification verification = {0};
    int status = command_open(&settings, &verification.db);
    if (status != EXIT_DONE)
        return status;
    status = command_outcome(verify(&verification, config->repair), db_message(verification.db));
    db_free(verification.db);
    if (status != EXIT_DONE)
        return status;
    printf("compared %" PRId64 " emissions of %" PRId64 " runs: %" PRId64 " runs differ, %" PRId64
           " of them repaired\n",
           verification.emissions, verification.runs, verification.differing, verification.repaired);
    return verification.differing > verification.repaired ? EXIT_FAILED : EXIT_DONE;
}
