#include "ingest/queue.h"

#include "base/thread.h"
#include "ingest/ingest_metrics.h"

#include <stdlib.h>

struct ingest_queue {
    struct ingest_backlog *backlog;
    pthread_mutex_t lock; /* guards all that follows; nothing else is locked under it */
    pthread_cond_t filled;
    struct ingest_job *first;
    struct ingest_job **end; /* where the next one is hung */
    bool closed;
};

struct ingest_queue *ingest_queue_new(struct ingest_backlog *backlog) {
    struct ingest_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->backlog = backlog;
    queue->end = &queue->first;
    pthread_mutex_init(&queue->lock, NULL);
    condition_init(&queue->filled);
    return queue;
}

void ingest_queue_free(struct ingest_queue *queue) {
    if (!queue)
        return;
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static void leave_backlog(struct ingest_backlog *backlog, size_t emissions) {
    atomic_fetch_sub(&backlog->emissions, emissions);
    metric_change(&ingest_metrics.queued, -(int64_t)emissions);
}

static bool join_backlog(struct ingest_backlog *backlog, size_t emissions) {
    metric_change(&ingest_metrics.queued, (int64_t)emissions);
    if (atomic_fetch_add(&backlog->emissions, emissions) + emissions <= backlog->capacity)
        return true;
    leave_backlog(backlog, emissions);
    return false;
}

bool ingest_queue_put(struct ingest_queue *queue, struct ingest_job *job) {
    size_t emissions = job->count;
    if (!join_backlog(queue->backlog, emissions))
        return false;
    job->next = NULL;
    pthread_mutex_lock(&queue->lock);
    bool open = !queue->closed;
    bool was_empty = !queue->first;
    if (open) {
        *queue->end = job;
        queue->end = &job->next;
    }
    pthread_mutex_unlock(&queue->lock);
    if (!open)
        leave_backlog(queue->backlog, emissions);
    else if (was_empty)
        pthread_cond_signal(&queue->filled);
    return open;
}

/* With the lock held. */
static struct ingest_job *cut_off(struct ingest_queue *queue, size_t jobs, size_t emissions) {
    struct ingest_job *first = queue->first, *last = NULL;
    size_t taken = 0;
    for (struct ingest_job *job = first; job && jobs; job = job->next, jobs--) {
        if (last && taken + job->count > emissions)
            break;
        taken += job->count;
        last = job;
    }
    if (!last)
        return NULL;
    queue->first = last->next;
    if (!queue->first)
        queue->end = &queue->first;
    last->next = NULL;
    leave_backlog(queue->backlog, taken);
    return first;
}

struct ingest_job *ingest_queue_take(struct ingest_queue *queue, size_t jobs, size_t emissions) {
    pthread_mutex_lock(&queue->lock);
    while (!queue->first && !queue->closed)
        pthread_cond_wait(&queue->filled, &queue->lock);
    struct ingest_job *chain = cut_off(queue, jobs, emissions);
    pthread_mutex_unlock(&queue->lock);
    return chain;
}

void ingest_queue_close(struct ingest_queue *queue) {
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

bool ingest_queue_is_closed(struct ingest_queue *queue) {
    pthread_mutex_lock(&queue->lock);
    bool closed = queue->closed;
    pthread_mutex_unlock(&queue->lock);
    return closed;
}
