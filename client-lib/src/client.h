/* The client: what the public functions and the background thread share. */
#pragma once

#include "carbond.h"
#include "counters.h"
#include "id.h"
#include "log.h"
#include "ring.h"
#include "runs.h"
#include "spool.h"
#include "sync.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct sender;

struct carbond_client {
    carbond_options options;
    struct log log;
    struct counters counters;
    struct ring *ring;

    /* Guards all that follows, and the taking side of the ring. Under it may be taken: the locks of `sync` and `log`. It is
     * held while something is written, never while the network or fdatasync is waited for. */
    pthread_mutex_t lock;
    pthread_cond_t progress; /* something was settled, adopted, or written */
    struct id_maker ids;
    struct spool spool;
    struct runs runs;
    char *token; /* or NULL */
    /* Searches for what other processes left: one at the start, and one with each new token. Others are not waited for. */
    unsigned searches_wanted, searches_done;

    struct sync sync;
    struct sender *sender; /* of this process; NULL after fork(), until the first call */

    /* What the background thread tells, for statistics. */
    atomic_int link, http_status, server;
    _Atomic int64_t retry_at; /* monotonic clock, or 0 */

    atomic_bool running;  /* the background thread is there: not so in the child after fork() */
    atomic_bool stopping; /* the background thread is to end */
    atomic_bool hurried;  /* somebody waits: no pause but the server's */
    atomic_bool dozing;   /* the background thread sleeps, and knows of nothing in the ring */
    atomic_bool idle;     /* it sleeps, and could send: what comes into the spool is news to it */
    atomic_bool pressed;  /* the ring is half full, and the background thread knows */

    struct carbond_client *next; /* of all clients of this process (clients.c) */
};

/* Under the lock: writes what is in the ring to the spool. CARBOND_OK, CARBOND_NOT_DURABLE, CARBOND_FULL: not all. */
int client_drain(struct carbond_client *client);

/* Starts the background thread if it is not there. Any thread. */
bool client_revive(struct carbond_client *client);

/* For waits that go by the monotonic clock. */
void client_init_condition(pthread_cond_t *condition);

/* -- all clients of the process (clients.c) ----------------------------------------------------------------------------------- */

void clients_add(struct carbond_client *client);
void clients_remove(struct carbond_client *client);
