#include "upkeep/upkeep.h"

#include "base/clock.h"
#include "base/thread.h"
#include "upkeep/jobs.h"

#include <stdlib.h>
#include <time.h>

static const struct upkeep_job *const jobs[] = {&partitions_job, &purge_job, &expiry_job, &retention_job,
                                                &project_totals_job};

enum {
    JOBS = sizeof jobs / sizeof jobs[0],
    SECOND = 1000 * 1000,
    STATEMENT_TIMEOUT = 3600, /* seconds: a month of many millions of rows may have to move */
};

struct turn {
    void *memory;
    int64_t due;
    int pause; /* seconds; 0: the last step was fine */
};

struct upkeep {
    pthread_t thread;
    struct db_settings database;
    struct upkeep_means means;
    struct turn turns[JOBS];
    pthread_mutex_t lock; /* guards `ending` */
    pthread_cond_t wake;
    bool ending;
};

static bool is_ending(struct upkeep *upkeep) {
    pthread_mutex_lock(&upkeep->lock);
    bool ending = upkeep->ending;
    pthread_mutex_unlock(&upkeep->lock);
    return ending;
}

static void rest_until(struct upkeep *upkeep, int64_t moment) {
    const struct timespec until = {.tv_sec = moment / SECOND, .tv_nsec = moment % SECOND * 1000};
    pthread_mutex_lock(&upkeep->lock);
    int waited = 0;
    while (!upkeep->ending && waited == 0)
        waited = pthread_cond_timedwait(&upkeep->wake, &upkeep->lock, &until);
    pthread_mutex_unlock(&upkeep->lock);
}

static int longer(int pause, int longest) {
    pause = pause ? 2 * pause : 1;
    return pause < longest ? pause : longest;
}

static void take_step(struct upkeep *upkeep, const struct upkeep_job *job, struct turn *turn) {
    enum upkeep_progress progress = job->step(&upkeep->means, turn->memory);
    turn->pause = progress == UPKEEP_AGAIN ? longer(turn->pause, job->rest) : 0;
    int rest = progress == UPKEEP_DONE ? job->rest : turn->pause;
    turn->due = clock_monotonic() + (int64_t)rest * SECOND;
}

/* A step of each job that is due. Returns when the next one is. */
static int64_t take_round(struct upkeep *upkeep) {
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < JOBS; i++) {
        struct turn *turn = &upkeep->turns[i];
        if (turn->due <= clock_monotonic() && !is_ending(upkeep))
            take_step(upkeep, jobs[i], turn);
        if (turn->due < next)
            next = turn->due;
    }
    return next;
}

static void *run(void *argument) {
    struct upkeep *upkeep = argument;
    while (!is_ending(upkeep))
        rest_until(upkeep, take_round(upkeep));
    return NULL;
}

static void free_upkeep(struct upkeep *upkeep) {
    db_free(upkeep->means.db);
    for (size_t i = 0; i < JOBS; i++)
        free(upkeep->turns[i].memory);
    pthread_cond_destroy(&upkeep->wake);
    pthread_mutex_destroy(&upkeep->lock);
    free(upkeep);
}

static bool give_memory(struct upkeep *upkeep) {
    for (size_t i = 0; i < JOBS; i++) {
        if (jobs[i]->memory_size == 0)
            continue;
        upkeep->turns[i].memory = calloc(1, jobs[i]->memory_size);
        if (!upkeep->turns[i].memory)
            return false;
    }
    return true;
}

struct upkeep *upkeep_start(const struct upkeep_settings *settings) {
    struct upkeep *upkeep = calloc(1, sizeof *upkeep);
    if (!upkeep)
        return NULL;
    pthread_mutex_init(&upkeep->lock, NULL);
    condition_init(&upkeep->wake);
    upkeep->database = *settings->database;
    upkeep->database.statement_timeout = STATEMENT_TIMEOUT;
    upkeep->means = (struct upkeep_means){
        .db = db_new(&upkeep->database),
        .statement_timeout = settings->database->statement_timeout,
        .partitions_ahead = settings->partitions_ahead,
        .audit_keep = settings->audit_keep,
        .retention = settings->retention,
        .metrics_projects = settings->metrics_projects,
    };
    if (upkeep->means.db && give_memory(upkeep) && thread_start(&upkeep->thread, "upkeep", run, upkeep))
        return upkeep;
    free_upkeep(upkeep);
    return NULL;
}

void upkeep_stop(struct upkeep *upkeep) {
    if (!upkeep)
        return;
    pthread_mutex_lock(&upkeep->lock);
    upkeep->ending = true;
    pthread_cond_signal(&upkeep->wake);
    pthread_mutex_unlock(&upkeep->lock);
    db_interrupt(upkeep->means.db);
    pthread_join(upkeep->thread, NULL);
    free_upkeep(upkeep);
}
