#include "clock.h"
#include "spool.h"

#include <stdlib.h>
#include <string.h>

/* -- what is dropped -------------------------------------------------------------------------------------------------- */

struct dropping {
    struct spool *spool;
    struct segment *segment;
};

/* The creation of a run is kept, to tell the server how many of its emissions were dropped. */
static void keep_creation(struct carbond_run *run, const struct record *record) {
    if (run->creation)
        return;
    run->creation = malloc(record->json_length);
    if (!run->creation)
        return;
    memcpy(run->creation, record->json, record->json_length);
    run->creation_length = record->json_length;
}

static void count_dropped(void *context, const struct segment_entry *entry) {
    const struct dropping *dropping = context;
    const struct record *record = &entry->record;
    struct spool *spool = dropping->spool;
    if (segment_is_settled(dropping->segment, entry->index) && record->type != RECORD_RUN)
        return;
    struct carbond_run *run = runs_get(spool->runs, spool->client, &record->run);
    if (!run)
        return;
    if (record->type == RECORD_RUN) {
        keep_creation(run, record);
        if (segment_is_settled(dropping->segment, entry->index) && run->dropped == run->told)
            return;
    } else {
        run->dropped++;
    }
    run->unwritten = spool->unwritten_runs = true;
}

void spool_account_dropped(struct spool *spool, struct segment *segment) {
    uint32_t emissions = segment->emissions - segment->emissions_settled;
    struct dropping dropping = {spool, segment};
    struct segment_survey survey;
    if (segment->fd >= 0)
        segment_survey(&spool->reader, segment->fd, &survey, count_dropped, &dropping);
    count(&spool->counters->dropped, emissions);
    if (emissions > 0)
        log_write(spool->log, CARBOND_LOG_ERROR, "the spool %s: %u emissions are dropped", segment->dropped,
                  (unsigned)emissions);
}

/* -- caps ------------------------------------------------------------------------------------------------------------- */

static struct segment *oldest_on_disk(struct spool *spool, bool held_too) {
    struct segment *segment = spool->first;
    while (segment && (segment->in_memory || (segment->holders > 0 && !held_too)))
        segment = segment->next;
    return segment != spool->active ? segment : NULL;
}

/* What is being sent just now is about to go anyway: it is spared, unless it is all there is. */
static struct segment *oldest_to_drop(struct spool *spool) {
    struct segment *oldest = oldest_on_disk(spool, false);
    return oldest ? oldest : oldest_on_disk(spool, true);
}

static void drop_segment(struct spool *spool, struct segment *segment, const char *why) {
    segment->dropped = why;
    segment_open(segment, spool->directory); /* it is read once more: what can't be is counted all the same */
    spool_remove(spool, segment);
}

/* The last bit of room is for runs, which tell what was dropped: that must not cost more emissions. */
static uint64_t most_bytes(const struct spool *spool) {
    return spool->max_bytes - (spool->filled.emissions > 0 ? spool->max_bytes / 32 : 0);
}

bool spool_make_room(struct spool *spool, uint64_t bytes) {
    while (spool->bytes + bytes > most_bytes(spool)) {
        struct segment *oldest = spool->when_full == CARBOND_DROP_OLDEST ? oldest_to_drop(spool) : NULL;
        if (!oldest)
            return false;
        drop_segment(spool, oldest, "is at its cap");
    }
    return true;
}

/* A segment holds what was written during an eighth of max_age, so that it is dropped when its last record is too old. */
void spool_expire(struct spool *spool) {
    if (spool->max_age == 0)
        return;
    int64_t now = clock_monotonic();
    if (spool->active && now - spool->active->age_from > spool->max_age / 8)
        spool_roll(spool);
    for (;;) {
        struct segment *oldest = oldest_on_disk(spool, false);
        if (!oldest || now - oldest->age_from <= spool->max_age + spool->max_age / 8)
            return;
        drop_segment(spool, oldest, "holds what is too old");
    }
}
