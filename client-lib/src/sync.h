/* Group fsync: threads that wait for their records to be on the disk share one fdatasync. Whoever finds none under way
 * does it for all; those that come meanwhile share the next. */
#pragma once

#include "spool.h"

#include <pthread.h>
#include <stdbool.h>

struct sync {
    pthread_mutex_t lock; /* nothing is locked under it */
    pthread_cond_t changed;
    bool busy;                       /* some thread is at it */
    uint64_t synced;                 /* spool.appended up to which all is on the disk, or has failed */
    uint64_t failed_from, failed_to; /* writes after the first, up to the second, may not be */
};

void sync_init(struct sync *sync);
void sync_destroy(struct sync *sync);

/* After fork(), in the child: nobody waits any more. */
void sync_forget(struct sync *sync, uint64_t appended);

/* Returns when what had been written when spool.appended was `ticket` is on the disk. False if the disk has failed. Not
 * under the client's lock, which it takes. */
bool sync_wait(struct sync *sync, struct spool *spool, pthread_mutex_t *client_lock, uint64_t ticket);
