#include "clock.h"
#include "directory.h"
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UNFINISHED_FOR = 60 /* s */ };

/* -- what a directory holds ---------------------------------------------------------------------------------------------- */

/* No spool gets there by counting; and there is room for more beyond it. */
static const uint64_t NUMBER_MOST = UINT64_MAX / 2;

/* The numbers of the segments in a directory. */
struct listing {
    uint64_t *numbers;
    size_t count, size;
    unsigned foreign;
    bool failed; /* out of memory */
};

static void list_file(void *context, const char *name) {
    struct listing *listing = context;
    uint64_t number;
    if (!segment_parse_name(name, &number) || number > NUMBER_MOST) {
        listing->foreign += strcmp(name, "lock") != 0;
        return;
    }
    if (listing->count == listing->size) {
        size_t size = listing->size ? listing->size * 2 : 64;
        uint64_t *numbers = realloc(listing->numbers, size * sizeof *numbers);
        listing->failed |= !numbers;
        if (!numbers)
            return;
        listing->numbers = numbers;
        listing->size = size;
    }
    listing->numbers[listing->count++] = number;
}

static int compare_numbers(const void *a, const void *b) {
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
    return (one > other) - (one < other);
}

static bool list_segments(int directory, struct listing *listing) {
    *listing = (struct listing){0};
    if (!directory_each(directory, list_file, listing) || listing->failed) {
        free(listing->numbers);
        return false;
    }
    if (listing->count > 0)
        qsort(listing->numbers, listing->count, sizeof *listing->numbers, compare_numbers);
    return true;
}

/* -- one segment --------------------------------------------------------------------------------------------------------- */

struct adoption {
    struct spool *spool;
    pthread_mutex_t *lock;
    struct segment_reader reader;
    int root;
    int directory;           /* the orphan's */
    bool is_own;             /* the orphan's directory has become this client's */
    struct segment *segment; /* that is being read */
    uint64_t emissions;      /* found so far */
};

/* How many emissions of a run were dropped is kept, and marks become bits. */
static void learn(void *context, const struct segment_entry *entry) {
    struct adoption *adoption = context;
    struct segment *segment = adoption->segment;
    const struct record *record = &entry->record;
    segment->records = entry->index + 1;
    if (entry->settled && segment_prepare_bits(segment))
        segment_settle(segment, entry->index, record->type == RECORD_EMISSION);
    if (record->type == RECORD_EMISSION || record->dropped == 0)
        return;
    pthread_mutex_lock(adoption->lock);
    struct carbond_run *run = runs_get(adoption->spool->runs, adoption->spool->client, &record->run);
    if (run && record->dropped > run->dropped)
        run->dropped = record->dropped;
    pthread_mutex_unlock(adoption->lock);
}

/* When it was made by the clock on the wall becomes a moment of the monotonic one. */
static int64_t age_from(int64_t made) {
    int64_t age = (clock_wall() - made) / 1000;
    return clock_monotonic() - (made > 0 && age > 0 ? age : 0);
}

static bool is_empty(const struct segment_survey *survey, int fd) {
    struct stat file;
    return survey->records == 0 && (survey->kind == SEGMENT_OURS || survey->torn) && survey->damages == 0 &&
           fstat(fd, &file) == 0;
}

/* Gives the file its place in the client's own directory, as the last one. 0, or an errno. */
static int move_in(struct adoption *adoption, const char *name) {
    struct spool *spool = adoption->spool;
    struct segment *segment = adoption->segment;
    if (adoption->is_own) {
        spool_insert(spool, segment);
        return 0;
    }
    char new_name[SEGMENT_NAME_SIZE];
    spool_roll(spool);
    segment->number = spool->next_number;
    segment_name(segment->number, new_name);
    if (renameat(adoption->directory, name, spool->directory, new_name) != 0)
        return errno;
    spool_insert(spool, segment);
    return 0;
}

/* Whether the file has found its place: it is part of the spool, or gone, or set aside. */
static bool place_file(struct adoption *adoption, const char *name, const struct segment_survey *survey) {
    struct spool *spool = adoption->spool;
    struct segment *segment = adoption->segment;
    count(&spool->counters->torn_segments, survey->torn);
    if (is_empty(survey, segment->fd) || (survey->damages == 0 && survey->settled == survey->records))
        return unlinkat(adoption->directory, name, 0) == 0;
    segment->damaged = survey->damages > 0;
    count(&spool->counters->broken_segments, segment->damaged);
    if (survey->settled == survey->records)
        return spool_set_aside(spool, adoption->directory, name) == 0;
    if (survey->torn)
        (void)!ftruncate(segment->fd, (off_t)survey->size); /* a tail that stays is passed over */
    segment->size = survey->size;
    segment->records = survey->records;
    segment->emissions = survey->emissions;
    segment->age_from = age_from(survey->made);
    segment->adopted = true;
    close(segment->fd);
    segment->fd = -1;
    int problem = move_in(adoption, name);
    if (problem != 0) {
        log_write(spool->log, CARBOND_LOG_WARNING, "an orphaned segment can't be adopted: %s",
                  strerror(problem));
        return false;
    }
    adoption->emissions += segment->emissions - segment->emissions_settled;
    adoption->segment = NULL;
    return true;
}

static bool adopt_segment(struct adoption *adoption, uint64_t number) {
    struct spool *spool = adoption->spool;
    struct segment_survey survey;
    char name[SEGMENT_NAME_SIZE];
    struct segment *segment = adoption->segment = segment_new(number);
    if (!segment)
        return false;
    segment_name(number, name);
    bool readable = segment_open(segment, adoption->directory) == 0 &&
                    segment_survey(&adoption->reader, segment->fd, &survey, learn, adoption);
    bool placed = false;
    if (!readable)
        log_write(spool->log, CARBOND_LOG_WARNING, "the segment %s can't be read: %s", name, strerror(errno));
    if (!readable || survey.kind == SEGMENT_NEWER) {
        count(&spool->counters->foreign_files, 1);
    } else {
        pthread_mutex_lock(adoption->lock);
        placed = place_file(adoption, name, &survey);
        pthread_mutex_unlock(adoption->lock);
    }
    segment_free(adoption->segment);
    return placed;
}

/* -- the spool's own files, without the lock -------------------------------------------------------------------------------- */

/* They may be closed meanwhile, when somebody has removed the spool. Under the client's lock. */
static int copy_file(int file) {
    return file < 0 ? -1 : fcntl(file, F_DUPFD_CLOEXEC, 0);
}

static void sync_own_directory(const struct adoption *adoption) {
    pthread_mutex_lock(adoption->lock);
    int directory = copy_file(adoption->spool->directory);
    pthread_mutex_unlock(adoption->lock);
    if (directory < 0)
        return;
    fsync(directory);
    close(directory);
}

/* -- one orphan ---------------------------------------------------------------------------------------------------------- */

/* The first orphan's directory becomes the client's own, if it has none yet: nothing is moved then, and nothing needs room on
 * the disk. */
static void take_as_own(struct spool *spool, const char *name) {
    snprintf(spool->name, sizeof spool->name, "%s", name);
    spool->directory = spool->orphan;
    spool->lock = spool->orphan_lock;
    spool->orphan = spool->orphan_lock = -1;
}

/* All numbers are known before anything new is written. */
static void reserve_numbers(struct spool *spool, const struct listing *listing) {
    if (listing->count > 0 && listing->numbers[listing->count - 1] >= spool->next_number)
        spool->next_number = listing->numbers[listing->count - 1] + 1;
}

static void leave_orphan(struct adoption *adoption, const char *name) {
    struct spool *spool = adoption->spool;
    pthread_mutex_lock(adoption->lock);
    if (directory_holds_only_lock(spool->orphan) && unlinkat(spool->orphan, "lock", 0) == 0)
        unlinkat(adoption->root, name, AT_REMOVEDIR);
    close(spool->orphan);
    close(spool->orphan_lock);
    spool->orphan = spool->orphan_lock = -1;
    pthread_mutex_unlock(adoption->lock);
}

/* Where the segments will be: a directory of its own, or the orphan's. */
static int prepare_place(struct adoption *adoption, const char *name, const struct listing *listing) {
    struct spool *spool = adoption->spool;
    if (listing->count == 0)
        return 0;
    pthread_mutex_lock(adoption->lock);
    adoption->is_own = spool->directory < 0;
    if (adoption->is_own) {
        take_as_own(spool, name);
        reserve_numbers(spool, listing);
    }
    int problem = spool_place(spool);
    pthread_mutex_unlock(adoption->lock);
    return problem;
}

static void adopt_directory(struct adoption *adoption, const char *name) {
    struct spool *spool = adoption->spool;
    struct listing listing;
    adoption->directory = spool->orphan;
    adoption->is_own = false;
    if (!list_segments(adoption->directory, &listing)) {
        leave_orphan(adoption, name);
        return;
    }
    int problem = prepare_place(adoption, name, &listing);

    uint64_t before = adoption->emissions;
    count(&spool->counters->foreign_files, listing.foreign);
    for (size_t i = 0; problem == 0 && i < listing.count; i++)
        adopt_segment(adoption, listing.numbers[i]);
    count(&spool->counters->adopted_spools, listing.count > 0 && problem == 0);
    count(&spool->counters->found, adoption->emissions - before);
    if (adoption->emissions > before)
        log_write(spool->log, CARBOND_LOG_INFO, "adopted %" PRIu64 " emissions of the spool %s",
                  adoption->emissions - before, name);
    free(listing.numbers);
    if (!adoption->is_own && listing.count > 0 && problem == 0)
        sync_own_directory(adoption); /* what has been moved in is here for good before it goes there */
    if (!adoption->is_own)
        leave_orphan(adoption, name);
}

/* -- all of them --------------------------------------------------------------------------------------------------------- */

static bool is_spool_name(const char *name, uint32_t *server) {
    struct id id;
    char again[9];
    if (strlen(name) != SPOOL_NAME_SIZE - 1 || name[8] != '-' || !id_parse(name + 9, &id))
        return false;
    *server = (uint32_t)strtoul(name, NULL, 16);
    snprintf(again, sizeof again, "%08" PRIx32, *server);
    return strncmp(name, again, 8) == 0;
}

/* A fork meanwhile would give the child the lock. */
static void remove_unfinished(const struct adoption *adoption, const char *name) {
    pthread_mutex_lock(adoption->lock);
    directory_remove_unfinished(adoption->root, name, clock_wall() / 1000000 - UNFINISHED_FOR);
    pthread_mutex_unlock(adoption->lock);
}

static void visit_root(void *context, const char *name) {
    struct adoption *adoption = context;
    struct spool *spool = adoption->spool;
    uint32_t server;
    bool is_known = strcmp(name, "rejected") == 0 || strcmp(name, "broken") == 0 || strcmp(name, "runs") == 0;
    if (is_known)
        return;
    if (*name == '.') { /* it is being made just now, or its maker was killed */
        if (is_spool_name(name + 1, &server))
            remove_unfinished(adoption, name);
        return;
    }
    if (!is_spool_name(name, &server)) {
        count(&spool->counters->foreign_files, 1);
        return;
    }
    if (server != spool->server && !spool->adopt_all)
        return;
    /* Its own directory is locked like any other's: EWOULDBLOCK. A fork meanwhile would give the child the orphan's lock. */
    pthread_mutex_lock(adoption->lock);
    int problem = directory_take(adoption->root, name, &spool->orphan, &spool->orphan_lock);
    pthread_mutex_unlock(adoption->lock);
    if (problem == 0)
        adopt_directory(adoption, name);
    else if (problem != EWOULDBLOCK && problem != ENOENT)
        log_write(spool->log, CARBOND_LOG_WARNING, "the spool %s can't be adopted: %s", name,
                  strerror(problem));
}

void spool_adopt(struct spool *spool, pthread_mutex_t *client_lock) {
    struct adoption adoption = {.spool = spool, .lock = client_lock, .directory = -1};
    pthread_mutex_lock(client_lock);
    int problem = spool_open_root(spool);
    if (problem != 0)
        spool_note_disk(spool, problem);
    adoption.root = copy_file(spool->root);
    pthread_mutex_unlock(client_lock);
    if (adoption.root >= 0 && segment_reader_init(&adoption.reader)) {
        atomic_store(&spool->counters->foreign_files, 0); /* those that are there now */
        directory_each(adoption.root, visit_root, &adoption);
        segment_reader_destroy(&adoption.reader);
    }
    if (adoption.root >= 0)
        close(adoption.root);
}

/* -- giving back --------------------------------------------------------------------------------------------------------- */

static struct segment *next_to_give_back(struct segment *segment) {
    while (segment && (!segment->adopted || segment->holders > 0))
        segment = segment->next;
    return segment;
}

static bool give_back_to(struct spool *spool, struct segment *segment, int directory) {
    char name[SEGMENT_NAME_SIZE];
    segment_name(segment->number, name);
    if (renameat(spool->directory, name, directory, name) != 0)
        return false;
    uint64_t emissions = segment->emissions - segment->emissions_settled;
    atomic_fetch_sub(&spool->counters->found, emissions);
    spool_take_out(spool, segment);
    segment_free(segment);
    return true;
}

bool spool_give_back(struct spool *spool) {
    struct segment *segment = next_to_give_back(spool->first);
    char name[SPOOL_NAME_SIZE];
    int directory, lock;
    if (!segment)
        return false;
    spool_make_name(spool, name);
    if (directory_make_locked(spool->root, name, &directory, &lock) != 0)
        return false; /* it stays here */
    bool good = spool->fsync == CARBOND_FSYNC_NONE || directory_sync(spool->root) == 0;
    while (segment && good) {
        struct segment *next = next_to_give_back(segment->next);
        good = give_back_to(spool, segment, directory);
        segment = next;
    }
    if (spool->fsync != CARBOND_FSYNC_NONE)
        directory_sync(directory); /* before the names here are forced to the disk without them */
    log_write(spool->log, CARBOND_LOG_INFO, "what was adopted is left to others, since the token is refused");
    close(directory);
    close(lock);
    return true;
}

/* -- looking for a run --------------------------------------------------------------------------------------------------- */

struct search {
    const struct id *run;
    int root;
    struct segment_reader reader;
    bool found;
};

static void look_at_record(void *context, const struct segment_entry *entry) {
    struct search *search = context;
    if (entry->record.type == RECORD_RUN && !entry->settled && id_equal(&entry->record.run, search->run))
        search->found = true;
}

static void look_into_spool(void *context, const char *name) {
    struct search *search = context;
    struct segment_survey survey;
    struct listing listing;
    uint32_t server;
    int directory =
        is_spool_name(name, &server) ? openat(search->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (directory < 0)
        return;
    if (list_segments(directory, &listing)) {
        for (size_t i = 0; i < listing.count && !search->found; i++) {
            char file[SEGMENT_NAME_SIZE];
            segment_name(listing.numbers[i], file);
            int fd = openat(directory, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
            if (fd < 0)
                continue;
            segment_survey(&search->reader, fd, &survey, look_at_record, search);
            close(fd);
        }
        free(listing.numbers);
    }
    close(directory);
}

bool spool_somebody_creates(const struct spool *spool, pthread_mutex_t *client_lock, const struct id *run) {
    pthread_mutex_lock(client_lock);
    struct search search = {.run = run, .root = copy_file(spool->root)};
    pthread_mutex_unlock(client_lock);
    if (search.root >= 0 && segment_reader_init(&search.reader)) {
        directory_each(search.root, look_into_spool, &search);
        segment_reader_destroy(&search.reader);
    }
    if (search.root >= 0)
        close(search.root);
    return search.found;
}
