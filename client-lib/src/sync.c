#include "sync.h"

#include <errno.h>
#include <unistd.h>

void sync_init(struct sync *sync) {
    *sync = (struct sync){.busy = false};
    pthread_mutex_init(&sync->lock, NULL);
    pthread_cond_init(&sync->changed, NULL);
}

void sync_destroy(struct sync *sync) {
    pthread_cond_destroy(&sync->changed);
    pthread_mutex_destroy(&sync->lock);
}

void sync_forget(struct sync *sync, uint64_t appended) {
    sync->busy = false;
    sync->synced = appended;
    pthread_cond_init(&sync->changed, NULL);
}

/* Forces all that has been written to the disk; `*ticket` says up to where. Segments before the active one were forced
 * when it took their place. */
static bool force(struct spool *spool, pthread_mutex_t *client_lock, uint64_t *ticket) {
    pthread_mutex_lock(client_lock);
    *ticket = spool->appended;
    bool rolled_well = !spool->roll_failed;
    spool->roll_failed = false;
    struct segment *segment = spool->active && !spool->active->in_memory ? spool->active : NULL;
    int fd = segment ? segment->fd : -1;
    if (segment)
        segment->holders++;
    pthread_mutex_unlock(client_lock);
    if (!segment)
        return rolled_well;

    int problem = fdatasync(fd) != 0 ? errno : 0;

    pthread_mutex_lock(client_lock);
    if (problem != 0) {
        /* What the system could not write it may have forgotten (fsync(2)): nothing more goes into this file. */
        spool_note_disk(spool, problem);
        if (spool->active == segment)
            spool_roll(spool);
    }
    spool_release(spool, segment);
    pthread_mutex_unlock(client_lock);
    return problem == 0 && rolled_well;
}

static void lead(struct sync *sync, struct spool *spool, pthread_mutex_t *client_lock) {
    uint64_t ticket;
    sync->busy = true;
    pthread_mutex_unlock(&sync->lock);
    bool forced = force(spool, client_lock, &ticket);
    pthread_mutex_lock(&sync->lock);
    sync->busy = false;
    if (!forced) {
        if (sync->failed_to < sync->synced)
            sync->failed_from = sync->synced;
        sync->failed_to = ticket;
    }
    if (ticket > sync->synced)
        sync->synced = ticket;
    pthread_cond_broadcast(&sync->changed);
}

bool sync_wait(struct sync *sync, struct spool *spool, pthread_mutex_t *client_lock, uint64_t ticket) {
    pthread_mutex_lock(&sync->lock);
    while (sync->synced < ticket) {
        if (sync->busy)
            pthread_cond_wait(&sync->changed, &sync->lock);
        else
            lead(sync, spool, client_lock);
    }
    bool failed = ticket > sync->failed_from && ticket <= sync->failed_to;
    pthread_mutex_unlock(&sync->lock);
    return !failed;
}
