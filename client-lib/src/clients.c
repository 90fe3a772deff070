/* All clients of the process: around a fork, and at its end.
 *
 * fork() without exec(): the child has the memory of the parent, but none of its threads. Before a fork all locks are
 * taken, so that nothing is half done; after it the child forgets what the parent is about to write and to send, and begins
 * with an empty ring, no spool, and no connection. Its background thread starts with the first call.
 *
 * exit() without carbond_close: the background threads end before what they use is torn down (libcurl's TLS library has an
 * exit handler of its own), and what is in memory goes to the spool. */
#include "client.h"
#include "sender.h"

#include <stddef.h>
#include <stdlib.h>
#include <time.h>

enum { EXIT_PATIENCE = 5 /* s */ };

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER; /* taken before any other */
static struct carbond_client *all;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void) {
    pthread_mutex_lock(&all_lock);
    for (struct carbond_client *client = all; client; client = client->next) {
        pthread_mutex_lock(&client->lock);
        pthread_mutex_lock(&client->sync.lock);
        pthread_mutex_lock(&client->log.lock);
    }
}

static void unlock(struct carbond_client *client) {
    pthread_mutex_unlock(&client->log.lock);
    pthread_mutex_unlock(&client->sync.lock);
    pthread_mutex_unlock(&client->lock);
}

static void in_parent(void) {
    for (struct carbond_client *client = all; client; client = client->next)
        unlock(client);
    pthread_mutex_unlock(&all_lock);
}

static void forget_run(void *context, struct carbond_run *run) {
    (void)context;
    run->written_in = 0;
    run->unwritten = false;
}

static void begin_anew(struct carbond_client *client) {
    if (client->sender)
        sender_abandon(client->sender);
    client->sender = NULL;
    ring_clear(client->ring);
    spool_forget(&client->spool);
    runs_each(&client->runs, forget_run, NULL);
    client->spool.unwritten_runs = false;
    client->ids =
        (struct id_maker){.last = client->ids.last}; /* no random bytes that the parent draws as well */
    client->searches_wanted++;
    sync_forget(&client->sync, client->spool.appended);
    client_init_condition(&client->progress);
    atomic_store(&client->running, false);
    atomic_store(&client->dozing, false);
    atomic_store(&client->idle, false);
    atomic_store(&client->pressed, false);
}

static void in_child(void) {
    for (struct carbond_client *client = all; client; client = client->next) {
        begin_anew(client);
        unlock(client);
    }
    pthread_mutex_unlock(&all_lock);
}

/* Whoever holds it lets go of it soon, unless it is the very thread that exits, from within the log callback. */
static bool lock_at_exit(pthread_mutex_t *lock) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += EXIT_PATIENCE;
    return pthread_mutex_timedlock(lock, &until) == 0;
}

/* Other threads may still call the library: nothing is freed. */
static void at_exit(void) {
    pthread_mutex_lock(&all_lock);
    for (struct carbond_client *client = all; client; client = client->next) {
        if (!lock_at_exit(&client->lock))
            continue;
        struct sender *sender = client->sender;
        client_drain(client);
        pthread_mutex_unlock(&client->lock);
        if (sender)
            sender_halt(sender);
    }
    pthread_mutex_unlock(&all_lock);
}

/* After libcurl is initialised, so that this handler runs before those of what libcurl uses. */
static void watch(void) {
    pthread_atfork(before_fork, in_parent, in_child);
    atexit(at_exit);
}

void clients_add(struct carbond_client *client) {
    pthread_once(&once, watch);
    pthread_mutex_lock(&all_lock);
    client->next = all;
    all = client;
    pthread_mutex_unlock(&all_lock);
}

void clients_remove(struct carbond_client *client) {
    pthread_mutex_lock(&all_lock);
    struct carbond_client **link = &all;
    while (*link && *link != client)
        link = &(*link)->next;
    if (*link)
        *link = client->next;
    pthread_mutex_unlock(&all_lock);
}
