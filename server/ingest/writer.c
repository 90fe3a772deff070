#include "base/clock.h"
#include "base/thread.h"
#include "ingest/batch.h"
#include "ingest/ingest.h"
#include "ingest/ingest_metrics.h"
#include "ingest/queue.h"

#include <stdlib.h>
#include <time.h>

enum {
    BATCH_EMISSIONS = 10000,        /* of several requests; one request alone may bring as many */
    BATCH_JOBS = TOKEN_CACHE_SIZE,  /* each may bring a token of its own */
    AWAY_PAUSE = 50 * 1000 * 1000L, /* nanoseconds between two attempts while the database is away */
};

struct ingest {
    struct ingest_settings settings;
    struct ingest_queue *queue;
    struct token_cache *tokens;
    struct batch *batch;
    struct db *db;
    struct batch_row *rows; /* of the batch that is being stored */
    size_t row_capacity;
    pthread_t thread;
    bool started;
};

/* ---- patience */

static bool is_out_of_patience(const struct ingest *ingest, const struct ingest_job *job) {
    return ingest_queue_is_closed(ingest->queue) ||
           clock_monotonic() - job->arrived >= (int64_t)ingest->settings.patience * 1000;
}

static void give_up(struct ingest_job *job, enum ingest_outcome outcome) {
    job->outcome = outcome;
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
static bool tokens_are_known(struct ingest *ingest, const struct ingest_job *jobs) {
    int64_t hits = 0, misses = 0;
    for (const struct ingest_job *job = jobs; job; job = job->next) {
        if (!job->by_token)
            continue;
        bool known = token_cache_use(ingest->tokens, &job->token);
        *(known ? &hits : &misses) += 1;
    }
    metric_count(&ingest_metrics.token_hits, hits);
    metric_count(&ingest_metrics.token_misses, misses);
    metric_set(&ingest_metrics.token_entries, (int64_t)token_cache_count(ingest->tokens));
    return misses == 0;
}

/* Tries as long as the first job has patience: it has waited longest. */
static enum db_outcome look_up_tokens(struct ingest *ingest, const struct ingest_job *jobs) {
    enum db_outcome outcome;
    while ((outcome = token_cache_refresh(ingest->tokens, ingest->db)) == DB_AWAY &&
           !is_out_of_patience(ingest, jobs))
        pause_while_away();
    return outcome;
}

static void settle_sender(struct ingest *ingest, struct ingest_job *job) {
    if (!job->by_token)
        return;
    job->holder = *token_cache_holder(ingest->tokens, &job->token);
    if (!job->holder.known)
        job->outcome = INGEST_NOBODY;
}

/* Jobs whose token could not be looked up in time are given up. */
static void settle_senders(struct ingest *ingest, struct ingest_job *jobs) {
    token_cache_begin(ingest->tokens, count_jobs(jobs));
    enum db_outcome outcome = DB_OK;
    if (!tokens_are_known(ingest, jobs))
        outcome = look_up_tokens(ingest, jobs);
    for (struct ingest_job *job = jobs; job; job = job->next) {
        if (outcome == DB_OK)
            settle_sender(ingest, job);
        else if (job->by_token)
            give_up(job, outcome == DB_AWAY ? INGEST_AWAY : INGEST_FAILED);
    }
}

/* ---- storing */

static bool make_room(struct ingest *ingest, size_t rows) {
    if (rows <= ingest->row_capacity)
        return true;
    struct batch_row *larger = realloc(ingest->rows, rows * sizeof *larger);
    if (!larger)
        return false;
    ingest->rows = larger;
    ingest->row_capacity = rows;
    return true;
}

static void add_rows(struct ingest *ingest, struct ingest_job *job, size_t *count) {
    for (size_t i = 0; i < job->count; i++)
        ingest->rows[(*count)++] = (struct batch_row){
            .emission = &job->emissions[i],
            .holder = &job->holder,
            .job = job,
            .verdict = &job->verdicts[i],
        };
}

/* Leaves out what was given up. Keeps the order. */
static size_t drop_impatient(const struct ingest *ingest, struct batch_row *rows, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_out_of_patience(ingest, rows[i].job))
            give_up(rows[i].job, INGEST_AWAY);
        else
            rows[kept++] = rows[i];
    }
    return kept;
}

static enum db_outcome store_patiently(struct ingest *ingest, struct batch_row *rows, size_t *count) {
    enum db_outcome outcome = batch_store(ingest->batch, ingest->db, rows, *count);
    while (outcome == DB_AWAY && (*count = drop_impatient(ingest, rows, *count)) > 0) {
        pause_while_away();
        metric_count(&ingest_metrics.retries, 1);
        outcome = batch_store(ingest->batch, ingest->db, rows, *count);
    }
    return outcome;
}

/* A value that the database does not take spoils the batch that it is in: halves are tried until it stands alone. */
static void store(struct ingest *ingest, struct batch_row *rows, size_t count) {
    switch (store_patiently(ingest, rows, &count)) {
    case DB_OK:
    case DB_AWAY: return;
    case DB_REFUSED:
    case DB_TAKEN: break;
    case DB_FAILED:
        for (size_t i = 0; i < count; i++)
            give_up(rows[i].job, INGEST_FAILED);
        return;
    }
    if (count == 1) {
        *rows[0].verdict = INGEST_REFUSED;
        return;
    }
    store(ingest, rows, count / 2);
    store(ingest, rows + count / 2, count - count / 2);
}

static void store_jobs(struct ingest *ingest, struct ingest_job *jobs) {
    size_t total = 0, count = 0;
    for (const struct ingest_job *job = jobs; job; job = job->next)
        total += job->count;
    bool room = make_room(ingest, total);
    for (struct ingest_job *job = jobs; job; job = job->next) {
        if (!room)
            give_up(job, INGEST_FAILED);
        else if (job->outcome == INGEST_DONE)
            add_rows(ingest, job, &count);
    }
    if (count == 0)
        return;
    batch_sort(ingest->rows, count);
    store(ingest, ingest->rows, count);
}

static void tally(const struct ingest_job *job) {
    struct metric_counter *const counters[] = {
        [INGEST_STORED] = &ingest_metrics.accepted,    [INGEST_DUPLICATE] = &ingest_metrics.duplicate,
        [INGEST_NO_RUN] = &ingest_metrics.rejected,    [INGEST_FORBIDDEN] = &ingest_metrics.rejected,
        [INGEST_REFUSED] = &ingest_metrics.rejected,
    };
    for (size_t i = 0; job->outcome == INGEST_DONE && i < job->count; i++)
        metric_count(counters[job->verdicts[i]], 1);
}

static void answer(struct ingest_job *jobs) {
    while (jobs) {
        struct ingest_job *job = jobs;
        jobs = job->next;
        tally(job);
        job->done(job);
    }
}

static void *run(void *argument) {
    struct ingest *ingest = argument;
    struct ingest_job *jobs;
    while ((jobs = ingest_queue_take(ingest->queue, BATCH_JOBS, BATCH_EMISSIONS))) {
        settle_senders(ingest, jobs);
        store_jobs(ingest, jobs);
        answer(jobs);
    }
    return NULL;
}

/* ---- start and end */

struct ingest *ingest_start(const struct ingest_settings *settings) {
    struct ingest *ingest = calloc(1, sizeof *ingest);
    if (!ingest)
        return NULL;
    ingest->settings = *settings;
    /* Its plan is the same whatever comes; planning it anew would take longer than storing a small batch. */
    ingest->settings.database.generic_plans = true;
    metric_set(&ingest_metrics.queue_capacity, (int64_t)settings->queue_size);
    ingest->queue = ingest_queue_new(settings->queue_size);
    ingest->tokens = token_cache_new();
    ingest->batch = batch_new();
    ingest->db = db_new(&ingest->settings.database);
    if (ingest->queue && ingest->tokens && ingest->batch && ingest->db)
        ingest->started = thread_start(&ingest->thread, "ingest", run, ingest);
    if (ingest->started)
        return ingest;
    ingest_free(ingest);
    return NULL;
}

bool ingest_submit(struct ingest *ingest, struct ingest_job *job) {
    int64_t emissions = (int64_t)job->count; /* once it is in the queue, the job is the writer's */
    job->outcome = INGEST_DONE;
    bool taken = ingest_queue_put(ingest->queue, job);
    if (!taken)
        metric_count(&ingest_metrics.refused, emissions);
    return taken;
}

void ingest_stop(struct ingest *ingest) {
    if (!ingest || !ingest->started)
        return;
    ingest_queue_close(ingest->queue);
    db_cancel(ingest->db);
    pthread_join(ingest->thread, NULL);
    ingest->started = false;
}

void ingest_free(struct ingest *ingest) {
    if (!ingest)
        return;
    ingest_queue_free(ingest->queue);
    token_cache_free(ingest->tokens);
    batch_free(ingest->batch);
    db_free(ingest->db);
    free(ingest->rows);
    free(ingest);
}
