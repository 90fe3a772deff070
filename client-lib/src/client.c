#include "client.h"

#include "clock.h"
#include "crc32c.h"
#include "creation.h"
#include "options.h"
#include "sender.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DRAIN_AT_ONCE = 128 };

/* -- opening and closing --------------------------------------------------------------------------------------------------- */

void client_init_condition(pthread_cond_t *condition) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void free_client(struct carbond_client *client) {
    runs_destroy(&client->runs);
    ring_free(client->ring);
    free(client->token);
    options_destroy(&client->options);
    sync_destroy(&client->sync);
    pthread_cond_destroy(&client->progress);
    pthread_mutex_destroy(&client->lock);
    log_destroy(&client->log);
    free(client);
}

static struct carbond_client *new_client(const carbond_options *options) {
    struct carbond_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    log_init(&client->log, options->log, options->log_user,
             options->log_level ? options->log_level : CARBOND_LOG_INFO);
    pthread_mutex_init(&client->lock, NULL);
    client_init_condition(&client->progress);
    sync_init(&client->sync);
    return client;
}

static void configure_spool(struct carbond_client *client) {
    const carbond_options *options = &client->options;
    client->spool = (struct spool){
        .path = options->spool_dir,
        .server = crc32c(options->url, strlen(options->url)),
        .adopt_all = options->adopt_all != 0,
        .fsync = options->fsync,
        .when_full = options->when_full,
        .max_bytes = (uint64_t)options->max_bytes,
        .max_age = options->max_age * 1000,
        .log = &client->log,
        .counters = &client->counters,
        .runs = &client->runs,
        .client = client,
        .ids = &client->ids,
    };
    client->searches_wanted = 1;
}

/* What needs memory, and then the thread. */
static int furnish(struct carbond_client *client) {
    const carbond_options *options = &client->options;
    client->log.level = options->log_level;
    atomic_store(&client->server, options->server);
    client->token = options->token ? strdup(options->token) : NULL;
    client->ring = ring_new((size_t)options->ring_capacity);
    configure_spool(client);
    if (!client->ring || (options->token && !client->token) || !spool_init(&client->spool))
        return CARBOND_NO_MEMORY;
    if (client_revive(client))
        return CARBOND_OK;
    spool_destroy(&client->spool);
    return CARBOND_SYSTEM;
}

int carbond_open(const carbond_options *options, carbond_client **client) {
    if (!client)
        return CARBOND_INVALID;
    *client = NULL;
    carbond_options given;
    if (!options_read(options, &given))
        return CARBOND_INVALID;
    struct carbond_client *made = new_client(&given);
    if (!made)
        return CARBOND_NO_MEMORY;
    int result = options_resolve(&given, &made->log, &made->options);
    if (result == CARBOND_OK)
        result = furnish(made);
    if (result != CARBOND_OK) {
        free_client(made);
        return result;
    }
    clients_add(made);
    *client = made;
    return CARBOND_OK;
}

/* What is left in memory when the disk does not take it. */
struct loss {
    uint64_t emissions, runs; /* of runs, their creations */
};

static struct loss count_loss(struct carbond_client *client) {
    struct loss loss = {.emissions = ring_length(client->ring)};
    for (const struct segment *segment = client->spool.first; segment; segment = segment->next) {
        uint32_t emissions = segment->emissions - segment->emissions_settled;
        if (!segment->in_memory)
            continue;
        loss.emissions += emissions;
        loss.runs += segment->records - segment->settled - emissions;
    }
    return loss;
}

int carbond_close(carbond_client *client) {
    if (!client)
        return CARBOND_OK;
    clients_remove(client);
    if (client->sender)
        sender_stop(client->sender);
    pthread_mutex_lock(&client->lock);
    client->spool.disk_retry = 0; /* one last attempt */
    spool_recover(&client->spool);
    client_drain(client);
    spool_write_runs(&client->spool);
    struct loss loss = count_loss(client);
    bool lost = loss.emissions + loss.runs > 0;
    spool_destroy(&client->spool);
    pthread_mutex_unlock(&client->lock);
    if (lost)
        log_write(&client->log, CARBOND_LOG_ERROR,
                  "%" PRIu64 " emissions are lost, and %" PRIu64 " creations of runs: the disk refuses them",
                  loss.emissions, loss.runs);
    free_client(client);
    return lost ? CARBOND_LOST : CARBOND_OK;
}

/* -- the background thread ------------------------------------------------------------------------------------------------- */

bool client_revive(struct carbond_client *client) {
    if (atomic_load_explicit(&client->running, memory_order_acquire))
        return true;
    pthread_mutex_lock(&client->lock);
    if (!client->sender)
        client->sender = sender_start(client);
    bool running = client->sender != NULL;
    atomic_store_explicit(&client->running, running, memory_order_release);
    pthread_mutex_unlock(&client->lock);
    return running;
}

/* Wakes the background thread, if it sleeps as `flag` says. */
static void wake(struct carbond_client *client, atomic_bool *flag) {
    if (atomic_load(flag) && atomic_exchange(flag, false))
        sender_wake(client->sender);
}

/* Whether the thread has to hurry, lest the ring gets full. */
static void press(struct carbond_client *client) {
    if (ring_length(client->ring) < ring_capacity(client->ring) / 2)
        return;
    if (!atomic_load_explicit(&client->pressed, memory_order_relaxed) &&
        !atomic_exchange(&client->pressed, true))
        sender_wake(client->sender);
}

/* -- writing --------------------------------------------------------------------------------------------------------------- */

static size_t gather(struct ring *ring, struct ring_entry *entries[DRAIN_AT_ONCE]) {
    size_t count = 0;
    while (count < DRAIN_AT_ONCE && (entries[count] = ring_peek(ring, count)))
        count++;
    return count;
}

/* All that had been put when it began; a putter that is just at it is waited for, since it may have let others pass. */
int client_drain(struct carbond_client *client) {
    struct ring *ring = client->ring;
    uint64_t target = ring_position(ring);
    int result = CARBOND_OK;
    while (ring_taken(ring) < target) {
        struct ring_entry *entries[DRAIN_AT_ONCE];
        size_t count = gather(ring, entries), taken;
        if (count == 0) {
            sched_yield();
            continue;
        }
        int written = spool_write(&client->spool, entries, count, &taken);
        if (written == CARBOND_FULL)
            return CARBOND_FULL;
        if (written != CARBOND_OK)
            result = written;
        ring_drop(ring, taken);
    }
    atomic_store_explicit(&client->pressed, false, memory_order_relaxed);
    return result;
}

static int refuse(struct carbond_client *client, int code) {
    count(&client->counters.refused, 1);
    return code;
}

int carbond_emit(carbond_run *run, const carbond_emission *emission) {
    if (!run)
        return CARBOND_INVALID;
    struct carbond_client *client = run->client;
    struct ring_entry entry = {.run = run};
    if (!emission_read(emission, &entry.emission))
        return refuse(client, CARBOND_INVALID);
    entry.emission.run = run->id;
    if (!client_revive(client) || !ring_put(client->ring, &entry))
        return refuse(client, CARBOND_FULL);
    count(&client->counters.emitted, 1);
    wake(client, &client->dozing);
    press(client);
    return CARBOND_OK;
}

/* Under the lock: what this thread has emitted before goes first. */
static int write_through(struct carbond_client *client, struct ring_entry *entry) {
    size_t taken;
    int result = client_drain(client);
    return result == CARBOND_FULL ? result : spool_write(&client->spool, &entry, 1, &taken);
}

/* Without the lock: waits for the disk, where that was asked for. */
static int force(struct carbond_client *client, int result, uint64_t ticket) {
    if (result != CARBOND_OK || client->options.fsync != CARBOND_FSYNC_EVERY)
        return result;
    bool forced = sync_wait(&client->sync, &client->spool, &client->lock, ticket);
    return forced ? CARBOND_OK : CARBOND_NOT_DURABLE;
}

int carbond_emit_sync(carbond_run *run, const carbond_emission *emission) {
    if (!run)
        return CARBOND_INVALID;
    struct carbond_client *client = run->client;
    struct ring_entry entry = {.run = run};
    if (!emission_read(emission, &entry.emission))
        return refuse(client, CARBOND_INVALID);
    entry.emission.run = run->id;
    if (!client_revive(client))
        return refuse(client, CARBOND_FULL);

    pthread_mutex_lock(&client->lock);
    int result = write_through(client, &entry);
    uint64_t ticket = client->spool.appended;
    pthread_mutex_unlock(&client->lock);
    if (result == CARBOND_FULL)
        return refuse(client, result);
    count(&client->counters.emitted, 1);
    wake(client, &client->idle);
    return force(client, result, ticket);
}

/* -- runs ------------------------------------------------------------------------------------------------------------------ */

int carbond_run_start(carbond_client *client, const carbond_run_info *info, carbond_run **run) {
    if (!client || !run)
        return CARBOND_INVALID;
    *run = NULL;
    if (!client_revive(client))
        return CARBOND_SYSTEM;
    struct creation creation;
    pthread_mutex_lock(&client->lock);
    int result = creation_make(&creation, info, client->options.experiment_id, &client->ids);
    struct carbond_run *made = result == CARBOND_OK ? runs_get(&client->runs, client, &creation.id) : NULL;
    if (result == CARBOND_OK && !made) {
        free(creation.json);
        result = CARBOND_NO_MEMORY;
    }
    uint64_t ticket = 0;
    if (made) {
        free(made->creation);
        made->creation = creation.json;
        made->creation_length = creation.length;
        made->held++;
        made->unwritten = client->spool.unwritten_runs = true;
        /* A creation for which there is no room now precedes the run's first emission. */
        result = spool_write_runs(&client->spool) == CARBOND_OK ? CARBOND_OK : CARBOND_NOT_DURABLE;
        ticket = client->spool.appended;
        *run = made;
    }
    pthread_mutex_unlock(&client->lock);
    if (!made)
        return result;
    wake(client, &client->idle);
    return force(client, result, ticket);
}

int carbond_run_resume(carbond_client *client, const char *run_id, carbond_run **run) {
    struct id id;
    if (!client || !run)
        return CARBOND_INVALID;
    *run = NULL;
    if (!run_id || !id_parse(run_id, &id))
        return CARBOND_INVALID;
    pthread_mutex_lock(&client->lock);
    *run = runs_get(&client->runs, client, &id);
    if (*run) {
        (*run)->held++;
        spool_recall_remote(&client->spool, *run);
    }
    pthread_mutex_unlock(&client->lock);
    return *run ? CARBOND_OK : CARBOND_NO_MEMORY;
}

const char *carbond_run_id(const carbond_run *run) {
    return run ? run->text : NULL;
}

void carbond_run_free(carbond_run *run) {
    if (!run)
        return;
    struct carbond_client *client = run->client;
    pthread_mutex_lock(&client->lock);
    run->held--;
    pthread_mutex_unlock(&client->lock);
}

/* -- waiting --------------------------------------------------------------------------------------------------------------- */

/* Until something happens, or the time is over; a second at most, so that a disk that takes more is noticed. */
static void wait_for_progress(struct carbond_client *client, int64_t left) {
    struct timespec until;
    int64_t pause = left > 1000 ? 1000 : left;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(pause / 1000);
    until.tv_nsec += (long)(pause % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&client->progress, &client->lock, &until);
}

/* Under the lock. Everything accepted so far is in the segments up to `*last` once the ring is empty; new emissions go to
 * later ones. */
static bool find_last(struct carbond_client *client, uint64_t *last) {
    if (client->searches_done != client->searches_wanted || client_drain(client) == CARBOND_FULL ||
        client->spool.unwritten_runs)
        return false;
    spool_roll(&client->spool);
    *last = client->spool.next_number - 1;
    return true;
}

static bool is_settled(struct carbond_client *client, uint64_t last) {
    const struct segment *first = client->spool.first;
    return !first || first->number > last ||
           (first->in_memory && first->settled == first->records); /* it is not rolled: it stays */
}

/* Whether nothing is left at all. Nothing is written, begun or hurried by asking, however often it is asked. */
static bool is_done(struct carbond_client *client) {
    pthread_mutex_lock(&client->lock);
    bool done = client->searches_done == client->searches_wanted && ring_length(client->ring) == 0 &&
                !client->spool.unwritten_runs;
    for (const struct segment *segment = client->spool.first; done && segment; segment = segment->next)
        done = segment->settled >= segment->records;
    pthread_mutex_unlock(&client->lock);
    return done;
}

static int64_t deadline_of(int64_t timeout) {
    int64_t now = clock_monotonic();
    return timeout < INT64_MAX - now ? now + timeout : INT64_MAX;
}

int carbond_flush(carbond_client *client, int64_t timeout) {
    if (!client)
        return CARBOND_INVALID;
    if (!client_revive(client))
        return CARBOND_SYSTEM;
    if (timeout == 0)
        return is_done(client) ? CARBOND_OK : CARBOND_TIMEOUT;
    int64_t deadline = deadline_of(timeout);
    uint64_t last = 0;
    bool found = false, settled = false;
    pthread_mutex_lock(&client->lock);
    atomic_store(&client->hurried, true);
    sender_wake(client->sender);
    for (;;) {
        found = found || find_last(client, &last);
        settled = found && is_settled(client, last);
        int64_t left = timeout < 0 ? INT64_MAX : deadline - clock_monotonic();
        if (settled || left <= 0)
            break;
        wake(client, &client->idle);
        wait_for_progress(client, left);
    }
    pthread_mutex_unlock(&client->lock);
    return settled ? CARBOND_OK : CARBOND_TIMEOUT;
}

int carbond_set_token(carbond_client *client, const char *token) {
    if (!client || (token && !options_is_token(token)))
        return CARBOND_INVALID;
    if (!client_revive(client))
        return CARBOND_SYSTEM;
    char *copy = token ? strdup(token) : NULL;
    if (token && !copy)
        return CARBOND_NO_MEMORY;
    pthread_mutex_lock(&client->lock);
    free(client->token);
    client->token = copy;
    client->searches_wanted++; /* what was left to others, since the old one was refused */
    atomic_store(&client->hurried, true);
    sender_wake(client->sender);
    pthread_mutex_unlock(&client->lock);
    return CARBOND_OK;
}

/* -- statistics ------------------------------------------------------------------------------------------------------------ */

void carbond_get_stats(carbond_client *client, carbond_stats *stats, size_t size) {
    memset(stats, 0, size);
    if (!client)
        return;
    struct counters *counters = &client->counters;
    pthread_mutex_lock(&client->lock);
    uint64_t pending = client->spool.pending + ring_length(client->ring);
    uint64_t bytes = client->spool.bytes;
    int disk_errno = client->spool.disk_errno;
    pthread_mutex_unlock(&client->lock);
    int64_t due = atomic_load(&client->retry_at), now = clock_monotonic();
    carbond_stats fresh = {
        .size = size,
        .emitted = counters->emitted,
        .refused = counters->refused,
        .found = counters->found,
        .delivered = counters->delivered,
        .duplicates = counters->duplicates,
        .rejected = counters->rejected,
        .dropped = counters->dropped,
        .lost = counters->lost,
        .pending = pending,
        .spool_bytes = bytes,
        .torn_segments = counters->torn_segments,
        .broken_segments = counters->broken_segments,
        .foreign_files = counters->foreign_files,
        .adopted_spools = counters->adopted_spools,
        .requests = counters->requests,
        .retries = counters->retries,
        .retry_in = due > now ? due - now : 0,
        .link = atomic_load(&client->link),
        .http_status = atomic_load(&client->http_status),
        .disk_errno = disk_errno,
        .server = atomic_load(&client->server),
    };
    memcpy(stats, &fresh, size < sizeof fresh ? size : sizeof fresh);
}
