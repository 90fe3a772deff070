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
    if (options && options->size >= sizeof *options)
        log_init(&client->log, options->log, options->log_user,
                 options->log_level ? options->log_level : CARBOND_LOG_INFO);
    else
        log_init(&client->log, NULL, NULL, 0);
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
    struct carbond_client *made = new_client(options);
    if (!made)
        return CARBOND_NO_MEMORY;
    int result = options_resolve(options, &made->log, &made->options);
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
static uint64_t count_lost(struct carbond_client *client) {
    uint64_t lost = ring_length(client->ring);
    for (const struct segment *segment = client->spool.first; segment; segment = segment->next)
        if (segment->in_memory)
            lost += segment->emissions - segment->emissions_settled;
    return lost;
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
    uint64_t lost = count_lost(client);
    spool_destroy(&client->spool);
    pthread_mutex_unlock(&client->lock);
    if (lost > 0)
        log_write(&client->log, CARBOND_LOG_ERROR, "%" PRIu64 " emissions are lost: the disk refuses them",
                  lost);
    free_client(client);
    return lost > 0 ? CARBOND_LOST : CARBOND_OK;
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
    if (!client || !run || (info && info->size < sizeof *info))
        return CARBOND_INVALID;
    *run = NULL;
    if (!client_revive(client))
        return CARBOND_NO_MEMORY;
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
    if (!client || !run || !run_id || !id_parse(run_id, &id))
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
    return run->text;
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
    int64_t pause = left < 0 || left > 1000 ? 1000 : left;
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
    if (!client->adopted || client_drain(client) == CARBOND_FULL || client->spool.unwritten_runs)
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

int carbond_flush(carbond_client *client, int64_t timeout) {
    if (!client || !client_revive(client))
        return CARBOND_INVALID;
    int64_t deadline = clock_monotonic() + (timeout > 0 ? timeout : 0);
    uint64_t last = 0;
    bool found = false, settled = false;
    pthread_mutex_lock(&client->lock);
    atomic_store(&client->hurried, true);
    sender_wake(client->sender);
    for (;;) {
        found = found || find_last(client, &last);
        settled = found && is_settled(client, last);
        int64_t left = timeout < 0 ? -1 : deadline - clock_monotonic();
        if (settled || left == 0 || (timeout >= 0 && left < 0))
            break;
        wake(client, &client->idle);
        wait_for_progress(client, left);
    }
    pthread_mutex_unlock(&client->lock);
    return settled ? CARBOND_OK : CARBOND_TIMEOUT;
}

int carbond_set_token(carbond_client *client, const char *token) {
    if (!client || (token && !options_is_token(token)) || !client_revive(client))
        return CARBOND_INVALID;
    char *copy = token ? strdup(token) : NULL;
    if (token && !copy)
        return CARBOND_NO_MEMORY;
    pthread_mutex_lock(&client->lock);
    free(client->token);
    client->token = copy;
    atomic_store(&client->hurried, true);
    sender_wake(client->sender);
    pthread_mutex_unlock(&client->lock);
    return CARBOND_OK;
}

/* -- statistics ------------------------------------------------------------------------------------------------------------ */

void carbond_get_stats(carbond_client *client, carbond_stats *stats, size_t size) {
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
    memset(stats, 0, size);
    memcpy(stats, &fresh, size < sizeof fresh ? size : sizeof fresh);
}
