#include "api/purge.h"

#include "base/log.h"
#include "base/thread.h"
#include "statements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_EVERY = 2 /* seconds */, GRACE_FACTOR = 2, UNLIMITED_GRACE = 3600 };

struct purge {
    pthread_t thread;
    struct db *db;
    char grace[24];       /* seconds */
    pthread_mutex_t lock; /* guards `ending` */
    pthread_cond_t wake;
    bool ending;
};

static bool is_ending(struct purge *purge) {
    pthread_mutex_lock(&purge->lock);
    bool ending = purge->ending;
    pthread_mutex_unlock(&purge->lock);
    return ending;
}

static void rest(struct purge *purge) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_EVERY;
    pthread_mutex_lock(&purge->lock);
    int waited = 0;
    while (!purge->ending && waited == 0)
        waited = pthread_cond_timedwait(&purge->wake, &purge->lock, &until);
    pthread_mutex_unlock(&purge->lock);
}

/* Repeats a statement that removes a chunk until it finds nothing. */
static bool remove_chunks(struct purge *purge, const struct db_statement *statement, const char *project) {
    const char *values[] = {project};
    while (!is_ending(purge)) {
        char *removed;
        if (db_query_text(purge->db, statement, values, &removed) != DB_OK)
            return false;
        bool nothing = !removed || strcmp(removed, "0") == 0;
        free(removed);
        if (nothing)
            return true;
    }
    return false;
}

/* From the leaves to the root. */
static bool remove_project(struct purge *purge, const char *project) {
    const struct db_statement *const steps[] = {&sql_purge_emissions, &sql_purge_runs, &sql_purge_rest,
                                                &sql_purge_end};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (!remove_chunks(purge, steps[i], project))
            return false;
    log_info("removed what a deleted project left", "project", project);
    return true;
}

static bool remove_next(struct purge *purge) {
    const char *values[] = {purge->grace};
    char *project;
    bool removed = db_query_text(purge->db, &sql_purge_project, values, &project) == DB_OK && project &&
                   remove_project(purge, project);
    free(project);
    return removed;
}

static void *run(void *argument) {
    struct purge *purge = argument;
    while (!is_ending(purge))
        if (!remove_next(purge))
            rest(purge);
    return NULL;
}

static void free_purge(struct purge *purge) {
    db_free(purge->db);
    pthread_cond_destroy(&purge->wake);
    pthread_mutex_destroy(&purge->lock);
    free(purge);
}

struct purge *purge_start(const struct db_settings *settings) {
    struct purge *purge = calloc(1, sizeof *purge);
    if (!purge)
        return NULL;
    int grace = settings->statement_timeout ? GRACE_FACTOR * settings->statement_timeout : UNLIMITED_GRACE;
    snprintf(purge->grace, sizeof purge->grace, "%d", grace);
    pthread_mutex_init(&purge->lock, NULL);
    condition_init(&purge->wake);
    purge->db = db_new(settings);
    if (purge->db && thread_start(&purge->thread, "purge", run, purge))
        return purge;
    free_purge(purge);
    return NULL;
}

void purge_stop(struct purge *purge) {
    if (!purge)
        return;
    pthread_mutex_lock(&purge->lock);
    purge->ending = true;
    pthread_cond_signal(&purge->wake);
    pthread_mutex_unlock(&purge->lock);
    db_cancel(purge->db);
    pthread_join(purge->thread, NULL);
    free_purge(purge);
}
