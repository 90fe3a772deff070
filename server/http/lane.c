#include "http/lane.h"

#include "base/metric.h"
#include "base/thread.h"

#include <stdlib.h>
#include <string.h>

struct worker {
    struct lane *lane;
    void *context;
    pthread_t thread;
    bool at_work;               /* the lane's lock guards this, ... */
    struct http_address client; /* ... and for whom */
};

struct waiting_job {
    void *job;
    struct http_address client;
    int64_t late_at;
};

struct lane {
    struct lane_settings settings;
    struct metric_counter refused; /* places */
    struct metric_counter late;    /* jobs */
    struct metric_gauge busy;      /* threads */
    pthread_mutex_t lock; /* guards what follows up to the workers; nothing else is locked under it */
    pthread_cond_t filled;
    size_t
        reserved; /* places taken, filled or not; at the end the threads wait for those that will be filled */
    size_t head, waiting;
    bool ending;
    struct waiting_job *ring;
    int workers_running;
    struct worker workers[];
};

static struct waiting_job *place(struct lane *lane, size_t n) {
    return &lane->ring[(lane->head + n) % lane->settings.capacity];
}

/* With the lock held, the nth job that waits; those before it move up. */
static struct waiting_job take(struct lane *lane, size_t n) {
    struct waiting_job taken = *place(lane, n);
    for (; n > 0; n--)
        *place(lane, n) = *place(lane, n - 1);
    lane->head = (lane->head + 1) % lane->settings.capacity;
    lane->waiting--;
    lane->reserved--;
    if (lane->ending && lane->reserved == 0)
        pthread_cond_broadcast(&lane->filled);
    return taken;
}

static bool has_its_share(const struct lane *lane, const struct http_address *client) {
    int share = lane->settings.share, at_work = 0;
    for (int i = 0; share && i < lane->settings.threads; i++) {
        const struct worker *worker = &lane->workers[i];
        at_work += worker->at_work && memcmp(&worker->client, client, sizeof *client) == 0;
    }
    return share && at_work >= share;
}

/* With the lock held: the first of which a worker may take, or as many as wait if there is none. Whose share is used up
 * waits for the worker that has it. */
static size_t next_in_turn(struct lane *lane) {
    size_t n = 0;
    while (n < lane->waiting && has_its_share(lane, &place(lane, n)->client))
        n++;
    return n;
}

static void *next_job(struct worker *worker) {
    struct lane *lane = worker->lane;
    struct waiting_job next = {0};
    size_t n;
    pthread_mutex_lock(&lane->lock);
    worker->at_work = false;
    while ((n = next_in_turn(lane)) == lane->waiting && !(lane->ending && lane->reserved == 0))
        pthread_cond_wait(&lane->filled, &lane->lock);
    if (n < lane->waiting) {
        next = take(lane, n);
        worker->at_work = true;
        worker->client = next.client;
    }
    pthread_mutex_unlock(&lane->lock);
    return next.job;
}

void *lane_take_late(struct lane *lane, int64_t now) {
    pthread_mutex_lock(&lane->lock);
    void *job = lane->waiting && place(lane, 0)->late_at <= now ? take(lane, 0).job : NULL;
    pthread_mutex_unlock(&lane->lock);
    if (job)
        metric_count(&lane->late, 1);
    return job;
}

static void *run_worker(void *argument) {
    struct worker *worker = argument;
    void *job;
    while ((job = next_job(worker))) {
        metric_change(&worker->lane->busy, 1);
        worker->lane->settings.work(job, worker->context);
        metric_change(&worker->lane->busy, -1);
    }
    return NULL;
}

static bool add_worker(struct lane *lane) {
    struct worker *worker = &lane->workers[lane->workers_running];
    worker->lane = lane;
    worker->context = lane->settings.new_context(lane->settings.owner);
    if (!worker->context)
        return false;
    if (!thread_start(&worker->thread, lane->settings.name, run_worker, worker)) {
        lane->settings.free_context(worker->context);
        return false;
    }
    lane->workers_running++;
    return true;
}

struct lane *lane_new(const struct lane_settings *settings) {
    struct lane *lane = calloc(1, sizeof *lane + (size_t)settings->threads * sizeof lane->workers[0]);
    if (!lane)
        return NULL;
    lane->settings = *settings;
    lane->ring = calloc(settings->capacity, sizeof *lane->ring);
    pthread_mutex_init(&lane->lock, NULL);
    condition_init(&lane->filled);
    bool complete = lane->ring != NULL;
    for (int i = 0; complete && i < settings->threads; i++)
        complete = add_worker(lane);
    if (complete)
        return lane;
    lane_free(lane);
    return NULL;
}

bool lane_reserve(struct lane *lane) {
    pthread_mutex_lock(&lane->lock);
    bool room = !lane->ending && lane->reserved < lane->settings.capacity;
    if (room)
        lane->reserved++;
    pthread_mutex_unlock(&lane->lock);
    if (!room)
        metric_count(&lane->refused, 1);
    return room;
}

void lane_push(struct lane *lane, void *job, const struct http_address *client, int64_t late_at) {
    pthread_mutex_lock(&lane->lock);
    *place(lane, lane->waiting) = (struct waiting_job){job, *client, late_at};
    lane->waiting++;
    pthread_cond_signal(&lane->filled);
    pthread_mutex_unlock(&lane->lock);
}

void lane_look(struct lane *lane, struct lane_figures *figures) {
    pthread_mutex_lock(&lane->lock);
    size_t waiting = lane->waiting;
    pthread_mutex_unlock(&lane->lock);
    *figures = (struct lane_figures){
        .name = lane->settings.name,
        .waiting = (int64_t)waiting,
        .capacity = (int64_t)lane->settings.capacity,
        .refused = metric_counted(&lane->refused),
        .late = metric_counted(&lane->late),
        .threads = lane->workers_running,
        .busy = metric_value(&lane->busy),
    };
}

void lane_interrupt(struct lane *lane) {
    for (int i = 0; lane->settings.interrupt && i < lane->workers_running; i++)
        lane->settings.interrupt(lane->workers[i].context);
}

void lane_end(struct lane *lane) {
    pthread_mutex_lock(&lane->lock);
    lane->ending = true;
    pthread_cond_broadcast(&lane->filled);
    pthread_mutex_unlock(&lane->lock);
    for (int i = 0; i < lane->workers_running; i++) {
        pthread_join(lane->workers[i].thread, NULL);
        lane->settings.free_context(lane->workers[i].context);
    }
    lane->workers_running = 0;
}

void lane_free(struct lane *lane) {
    if (!lane)
        return;
    lane_end(lane);
    pthread_cond_destroy(&lane->filled);
    pthread_mutex_destroy(&lane->lock);
    free(lane->ring);
    free(lane);
}
