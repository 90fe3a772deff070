#include "ingest/writer.h"

#include "base/clock.h"
#include "base/thread.h"
#include "ingest/batch.h"
#include "ingest/ingest_metrics.h"

#include <stdlib.h>
#include <time.h>

enum {
    BATCH_EMISSIONS = 10000,        /* of several requests; one request alone may bring as many */
    BATCH_JOBS = TOKEN_CACHE_SIZE,  /* each may bring a token of its own */
    AWAY_PAUSE = 50 * 1000 * 1000L, /* nanoseconds between two attempts while the database is away */
};

struct writer {
    const struct ingest_settings *settings;
    struct db_settings database;
    struct ingest_queue *queue;
    struct token_cache *tokens;
    struct batch *batch;
    struct db *db;
    struct batch_row *rows; /* of the batch that is being stored */
    size_t row_capacity;
    int64_t told_entries; /* of the cache, in the gauge */
    atomic_size_t load;   /* emissions taken and not yet decided */
    pthread_t thread;
    bool started;
};

/* ---- patience */

static bool is_out_of_patience(const struct writer *writer, const struct ingest_job *job) {
    return ingest_queue_is_closed(writer->queue) ||
           clock_monotonic() - job->arrived >= (int64_t)writer->settings->patience * 1000;
}

static void pause_while_away(void) {
    nanosleep(&(struct timespec){.tv_nsec = AWAY_PAUSE}, NULL);
}

/* ---- who sends */

static size_t count_jobs(const struct ingest_job *jobs) {
    size_t count = 0;
    for (; jobs; jobs = jobs->next)
        count++;
    return count;
}

/* Notes what tokens are in use. True if all of them are known well enough. */
static bool tokens_are_known(struct writer *writer, const struct ingest_job *jobs) {
    int64_t hits = 0;
    bool all_known = true;
    for (const struct ingest_job *job = jobs; job; job = job->next) {
        if (!job->by_token)
            continue;
        bool known = token_cache_use(writer->tokens, &job->token);
        hits += known;
        all_known = all_known && known;
    }
    metric_count(&ingest_metrics.token_hits, hits);
    return all_known;
}

/* The gauge is the sum of all writers' caches. */
static void tell_entries(struct writer *writer) {
    int64_t entries = (int64_t)token_cache_count(writer->tokens);
    metric_change(&ingest_metrics.token_entries, entries - writer->told_entries);
    writer->told_entries = entries;
}

static enum db_outcome refresh_tokens(struct writer *writer) {
    size_t asked;
    enum db_outcome outcome = token_cache_refresh(writer->tokens, writer->db, &asked);
    metric_count(&ingest_metrics.token_misses, (int64_t)asked);
    tell_entries(writer);
    return outcome;
}

/* True if there is a job left that waits for its token to be looked up. */
static bool give_up_impatient(const struct writer *writer, struct ingest_job *jobs) {
    bool left = false;
    for (struct ingest_job *job = jobs; job; job = job->next) {
        if (!job->by_token || job->outcome != INGEST_DONE)
            continue;
        if (is_out_of_patience(writer, job))
            job->outcome = INGEST_AWAY;
        else
            left = true;
    }
    return left;
}

static enum db_outcome look_up_tokens(struct writer *writer, struct ingest_job *jobs) {
    enum db_outcome outcome;
    while ((outcome = refresh_tokens(writer)) == DB_AWAY && give_up_impatient(writer, jobs))
        pause_while_away();
    return outcome;
}

static void settle_sender(struct writer *writer, struct ingest_job *job) {
    job->holder = *token_cache_holder(writer->tokens, &job->token);
    if (!job->holder.known)
        job->outcome = INGEST_NOBODY;
}

/* Jobs whose token could not be looked up in time are given up, each in its own. */
static void settle_senders(struct writer *writer, struct ingest_job *jobs) {
    token_cache_begin(writer->tokens, count_jobs(jobs));
    enum db_outcome outcome = DB_OK;
    if (!tokens_are_known(writer, jobs))
        outcome = look_up_tokens(writer, jobs);
    for (struct ingest_job *job = jobs; job; job = job->next) {
        if (!job->by_token || job->outcome != INGEST_DONE)
            continue;
        if (outcome == DB_OK)
            settle_sender(writer, job);
        else
            job->outcome = INGEST_FAILED;
    }
}

/* ---- storing */

static bool make_room(struct writer *writer, size_t rows) {
    if (rows <= writer->row_capacity)
        return true;
    struct batch_row *larger = realloc(writer->rows, rows * sizeof *larger);
    if (!larger)
        return false;
    writer->rows = larger;
    writer->row_capacity = rows;
    return true;
}

static void add_rows(struct writer *writer, struct ingest_job *job, size_t *count) {
    for (size_t i = 0; i < job->count; i++)
        writer->rows[(*count)++] = (struct batch_row){
            .emission = &job->emissions[i],
            .holder = &job->holder,
            .job = job,
            .verdict = &job->verdicts[i],
        };
}

/* Leaves out what was given up. Keeps the order. */
static size_t drop_impatient(const struct writer *writer, struct batch_row *rows, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_out_of_patience(writer, rows[i].job))
            rows[i].job->outcome = INGEST_AWAY;
        else
            rows[kept++] = rows[i];
    }
    return kept;
}

static enum db_outcome store_patiently(struct writer *writer, struct batch_row *rows, size_t *count) {
    enum db_outcome outcome = batch_store(writer->batch, writer->db, rows, *count);
    while (outcome == DB_AWAY && (*count = drop_impatient(writer, rows, *count)) > 0) {
        pause_while_away();
        metric_count(&ingest_metrics.retries, 1);
        outcome = batch_store(writer->batch, writer->db, rows, *count);
    }
    return outcome;
}

/* A value that the database does not take spoils the batch that it is in: halves are tried until it stands alone. */
static void store(struct writer *writer, struct batch_row *rows, size_t count) {
    switch (store_patiently(writer, rows, &count)) {
    case DB_OK:
    case DB_AWAY: return;
    case DB_REFUSED:
    case DB_TAKEN: break;
    case DB_FAILED:
        for (size_t i = 0; i < count; i++)
            rows[i].job->outcome = INGEST_FAILED;
        return;
    }
    if (count == 1) {
        *rows[0].verdict = INGEST_REFUSED;
        return;
    }
    store(writer, rows, count / 2);
    store(writer, rows + count / 2, count - count / 2);
}

static void store_jobs(struct writer *writer, struct ingest_job *jobs) {
    size_t total = 0, count = 0;
    for (const struct ingest_job *job = jobs; job; job = job->next)
        total += job->count;
    bool room = make_room(writer, total);
    for (struct ingest_job *job = jobs; job; job = job->next) {
        if (!room)
            job->outcome = INGEST_FAILED;
        else if (job->outcome == INGEST_DONE)
            add_rows(writer, job, &count);
    }
    if (count == 0)
        return;
    batch_sort(writer->rows, count);
    store(writer, writer->rows, count);
}

static void tally(const struct ingest_job *job) {
    struct metric_counter *const counters[] = {
        [INGEST_STORED] = &ingest_metrics.accepted,  [INGEST_DUPLICATE] = &ingest_metrics.duplicate,
        [INGEST_NO_RUN] = &ingest_metrics.rejected,  [INGEST_FORBIDDEN] = &ingest_metrics.rejected,
        [INGEST_REFUSED] = &ingest_metrics.rejected, [INGEST_LATE] = &ingest_metrics.rejected,
    };
    for (size_t i = 0; job->outcome == INGEST_DONE && i < job->count; i++)
        metric_count(counters[job->verdicts[i]], 1);
}

static void answer(struct writer *writer, struct ingest_job *jobs) {
    while (jobs) {
        struct ingest_job *job = jobs;
        jobs = job->next;
        tally(job);
        atomic_fetch_sub(&writer->load, job->count);
        job->done(job);
    }
}

static void *run(void *argument) {
    struct writer *writer = argument;
    struct ingest_job *jobs;
    while ((jobs = ingest_queue_take(writer->queue, BATCH_JOBS, BATCH_EMISSIONS))) {
        settle_senders(writer, jobs);
        store_jobs(writer, jobs);
        answer(writer, jobs);
    }
    return NULL;
}

/* ---- start and end */

struct writer *writer_start(const struct ingest_settings *settings, struct ingest_backlog *backlog) {
    struct writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return NULL;
    writer->settings = settings;
    writer->database = settings->database;
    writer->database.key_lookups = true;
    writer->queue = ingest_queue_new(backlog);
    writer->tokens = token_cache_new();
    writer->batch = batch_new();
    writer->db = db_new(&writer->database);
    if (writer->queue && writer->tokens && writer->batch && writer->db)
        writer->started = thread_start(&writer->thread, "ingest", run, writer);
    if (writer->started)
        return writer;
    writer_free(writer);
    return NULL;
}

bool writer_submit(struct writer *writer, struct ingest_job *job) {
    size_t emissions = job->count;
    atomic_fetch_add(&writer->load, emissions);
    bool taken = ingest_queue_put(writer->queue, job);
    if (!taken)
        atomic_fetch_sub(&writer->load, emissions);
    return taken;
}

size_t writer_load(const struct writer *writer) {
    return atomic_load(&writer->load);
}

void writer_stop(struct writer *writer) {
    if (!writer->started)
        return;
    ingest_queue_close(writer->queue);
    db_interrupt(writer->db);
    pthread_join(writer->thread, NULL);
    writer->started = false;
}

void writer_free(struct writer *writer) {
    if (!writer)
        return;
    ingest_queue_free(writer->queue);
    token_cache_free(writer->tokens);
    batch_free(writer->batch);
    db_free(writer->db);
    free(writer->rows);
    free(writer);
}
