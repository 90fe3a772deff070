#include "spool.h"

#include "clock.h"
#include "directory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SEGMENT_MOST = 4 * 1024 * 1024,
    SEGMENT_LEAST = 16 * 1024,
    MEMORY_MOST = 1024 * 1024, /* of the segment in memory */
    DISK_PAUSE = 1000,         /* ms between attempts at a disk that refuses */
    ATTEMPTS = 2, /* to write: what the disk has refused the first time goes to memory the second */
};

bool spool_init(struct spool *spool) {
    spool->root = spool->directory = spool->lock = spool->rejected = -1;
    spool->orphan = spool->orphan_lock = -1;
    spool->next_number = 1;
    spool->buffer = malloc(SPOOL_BUFFER);
    if (spool->buffer && segment_reader_init(&spool->reader))
        return true;
    free(spool->buffer);
    spool->buffer = NULL;
    return false;
}

static void close_file(int *file) {
    if (*file >= 0)
        close(*file);
    *file = -1;
}

/* The lock is let go of last. */
static void close_place(struct spool *spool) {
    close_file(&spool->rejected);
    close_file(&spool->directory);
    close_file(&spool->lock);
}

static void close_all(struct spool *spool) {
    close_place(spool);
    close_file(&spool->orphan);
    close_file(&spool->orphan_lock);
    close_file(&spool->root);
}

static void free_segments(struct segment **first) {
    while (*first) {
        struct segment *segment = *first;
        *first = segment->next;
        segment_free(segment);
    }
}

/* Only an empty directory goes. */
static void leave_directory(struct spool *spool) {
    if (spool->directory < 0)
        return;
    if (directory_holds_only_lock(spool->directory) && unlinkat(spool->directory, "lock", 0) == 0)
        unlinkat(spool->root, spool->name, AT_REMOVEDIR);
}

void spool_destroy(struct spool *spool) {
    spool_roll(spool);
    spool_clean(spool, true);
    leave_directory(spool);
    close_all(spool);
    free_segments(&spool->first);
    free_segments(&spool->forgotten);
    spool->active = NULL;
    segment_reader_destroy(&spool->reader);
    free(spool->buffer);
}

/* The memory of the segments is freed later: just after a fork, POSIX grants little more than closing files. Closing the
 * lock's file does not unlock it: the parent has it open as well. */
void spool_forget(struct spool *spool) {
    while (spool->first) {
        struct segment *segment = spool->first;
        spool->first = segment->next;
        if (segment->fd >= 0)
            close(segment->fd);
        segment->fd = -1;
        segment->next = spool->forgotten;
        spool->forgotten = segment;
    }
    close_all(spool);
    spool->active = NULL;
    spool->bytes = spool->pending = spool->rejected_bytes = 0;
    memset(&spool->filled, 0, sizeof spool->filled);
}

/* -- its place --------------------------------------------------------------------------------------------------------- */

int spool_open_root(struct spool *spool) {
    if (spool->root < 0)
        spool->root = directory_make_path(spool->path);
    return spool->root < 0 ? errno : 0;
}

void spool_make_name(struct spool *spool, char name[SPOOL_NAME_SIZE]) {
    struct id id = id_new(spool->ids);
    char text[ID_TEXT_SIZE];
    id_format(&id, text);
    snprintf(name, SPOOL_NAME_SIZE, "%08" PRIx32 "-%s", spool->server, text);
}

static int make_place(struct spool *spool) {
    int problem = spool_open_root(spool);
    if (problem != 0)
        return problem;
    spool_make_name(spool, spool->name);
    problem = directory_make_locked(spool->root, spool->name, &spool->directory, &spool->lock);
    if (problem != 0 || spool->fsync == CARBOND_FSYNC_NONE)
        return problem;
    problem = directory_sync(spool->root);
    if (problem != 0) {
        leave_directory(spool);
        close_place(spool);
    }
    return problem;
}

/* Somebody may have removed the spool: then another one is made in its place. */
int spool_place(struct spool *spool) {
    if (spool->directory >= 0 && directory_is(spool->root, spool->name, spool->directory))
        return 0;
    if (spool->directory >= 0) {
        close_place(spool);
        close_file(&spool->root);
    }
    return make_place(spool);
}

void spool_note_disk(struct spool *spool, int problem) {
    if (problem != 0 && problem != spool->disk_errno)
        log_write(spool->log, CARBOND_LOG_WARNING, "the spool %s can't be written: %s", spool->path,
                  strerror(problem));
    else if (problem == 0 && spool->disk_errno != 0)
        log_write(spool->log, CARBOND_LOG_INFO, "the spool %s can be written again", spool->path);
    spool->disk_errno = problem;
    spool->disk_retry = problem ? clock_monotonic() + DISK_PAUSE : 0;
}

/* -- the list of segments ---------------------------------------------------------------------------------------------- */

static void link_segment(struct spool *spool, struct segment *segment) {
    struct segment **link = &spool->first;
    while (*link && (*link)->number < segment->number)
        link = &(*link)->next;
    segment->next = *link;
    *link = segment;
    if (segment->number >= spool->next_number)
        spool->next_number = segment->number + 1;
}

static void unlink_from_list(struct spool *spool, struct segment *segment) {
    struct segment **link = &spool->first;
    while (*link != segment)
        link = &(*link)->next;
    *link = segment->next;
    if (spool->active == segment)
        spool->active = NULL;
    if (!segment->in_memory)
        spool->bytes -= segment->size;
}

void spool_insert(struct spool *spool, struct segment *segment) {
    link_segment(spool, segment);
    if (!segment->in_memory)
        spool->bytes += segment->size;
    spool->pending += segment->emissions - segment->emissions_settled;
}

static void unlink_segment(const struct spool *spool, uint64_t number) {
    char name[SEGMENT_NAME_SIZE];
    segment_name(number, name);
    unlinkat(spool->directory, name, 0);
}

/* It is off the list, and nobody reads it any more: what is pending in it now is gone. */
static void end_segment(struct spool *spool, struct segment *segment) {
    if (segment->dropped)
        spool_account_dropped(spool, segment);
    spool->pending -= segment->emissions - segment->emissions_settled;
    segment_free(segment);
}

static bool set_aside(struct spool *spool, const struct segment *segment) {
    char name[SEGMENT_NAME_SIZE];
    segment_name(segment->number, name);
    return spool_set_aside(spool, spool->directory, name) == 0;
}

void spool_remove(struct spool *spool, struct segment *segment) {
    unlink_from_list(spool, segment);
    if (!segment->in_memory && !(segment->damaged && set_aside(spool, segment)))
        unlink_segment(spool, segment->number);
    segment->removed = true;
    if (segment->holders == 0)
        end_segment(spool, segment);
}

void spool_take_out(struct spool *spool, struct segment *segment) {
    unlink_from_list(spool, segment);
    spool->pending -= segment->emissions - segment->emissions_settled;
}

void spool_clean(struct spool *spool, bool active_too) {
    for (struct segment *segment = spool->first, *next; segment; segment = next) {
        next = segment->next;
        bool grows = segment == spool->active && !segment->in_memory; /* memory is too dear to wait with it */
        bool spared = segment->holders > 0 || (grows && !active_too);
        if (!spared && segment->settled >= segment->records)
            spool_remove(spool, segment);
    }
}

static struct segment *find_from(struct spool *spool, uint64_t number) {
    struct segment *segment = spool->first;
    while (segment && segment->number < number)
        segment = segment->next;
    return segment;
}

static void lose_segment(struct spool *spool, struct segment *segment) {
    uint32_t emissions = segment->emissions - segment->emissions_settled;
    log_write(spool->log, CARBOND_LOG_ERROR,
              "somebody has deleted a segment of the spool: %u emissions are lost", (unsigned)emissions);
    count(&spool->counters->lost, emissions);
    spool_remove(spool, segment);
}

struct segment *spool_hold(struct spool *spool, uint64_t number, int *problem) {
    for (;;) {
        struct segment *segment = find_from(spool, number);
        *problem = segment ? segment_open(segment, spool->directory) : 0;
        if (segment && *problem == 0)
            segment->holders++;
        if (*problem != ENOENT)
            return *problem == 0 ? segment : NULL;
        lose_segment(spool, segment);
    }
}

void spool_release(struct spool *spool, struct segment *segment) {
    if (--segment->holders > 0)
        return;
    if (segment->removed) {
        end_segment(spool, segment);
        return;
    }
    if (segment != spool->active && !segment->in_memory) {
        close(segment->fd);
        segment->fd = -1;
    }
}

bool spool_settle(struct spool *spool, struct segment *segment, uint32_t index, bool is_emission) {
    if (!segment_settle(segment, index, is_emission))
        return false;
    spool->pending -= is_emission;
    return true;
}

void spool_recount(struct spool *spool, struct segment *segment) {
    struct segment_survey survey;
    if (segment->removed || !segment_survey(&spool->reader, segment->fd, &survey, NULL, NULL))
        return;
    uint32_t before = segment->emissions - segment->emissions_settled;
    segment->damaged = true;
    segment->records = survey.records;
    segment->emissions = survey.emissions;
    /* The bits belong to other records now: all is pending, and what is sent again is stored once. */
    segment->settled = segment->emissions_settled = 0;
    if (segment->bits)
        memset(segment->bits, 0, segment->bits_size / 8);
    spool->pending += segment->emissions;
    spool->pending -= before;
    if (before > segment->emissions)
        count(&spool->counters->lost, before - segment->emissions);
    if (segment == spool->active)
        spool_roll(spool);
}

/* -- writing ----------------------------------------------------------------------------------------------------------- */

/* A small spool has small segments, so that a cap costs little more than it must. */
static uint64_t segment_most(const struct spool *spool) {
    uint64_t most = spool->max_bytes / 8;
    if (most > SEGMENT_MOST)
        return SEGMENT_MOST;
    return most < SEGMENT_LEAST ? SEGMENT_LEAST : most;
}

void spool_roll(struct spool *spool) {
    struct segment *segment = spool->active;
    if (!segment || segment->in_memory)
        return;
    if (spool->fsync != CARBOND_FSYNC_NONE && fdatasync(segment->fd) != 0) {
        spool_note_disk(spool, errno);
        spool->roll_failed = true;
    }
    spool->active = NULL;
    if (segment->holders == 0) {
        close(segment->fd);
        segment->fd = -1;
    }
}

/* The segment in memory becomes a file. The descriptor stays the same for whoever reads it just now. */
static int move_to_disk(struct spool *spool, struct segment *memory) {
    struct segment *file;
    int problem = spool_place(spool);
    if (problem == 0)
        problem = segment_create(spool->directory, memory->number, &file);
    if (problem != 0)
        return problem;
    for (uint64_t at = SEGMENT_HEADER; problem == 0 && at < memory->size;) {
        ssize_t length = pread(memory->fd, spool->buffer, SPOOL_BUFFER, (off_t)at);
        problem = length > 0 ? segment_append(file, spool->buffer, (size_t)length) : EIO;
        at += length > 0 ? (uint64_t)length : 0;
    }
    if (problem == 0)
        problem = fdatasync(file->fd) != 0 ? errno : directory_sync(spool->directory);
    if (problem == 0 && dup3(file->fd, memory->fd, O_CLOEXEC) < 0)
        problem = errno;
    if (problem == 0) {
        memory->in_memory = false;
        spool->bytes += memory->size;
    } else {
        unlink_segment(spool, memory->number);
    }
    segment_free(file);
    return problem;
}

/* A file whose name the next power cut could take is none. */
static int create_on_disk(struct spool *spool, struct segment **segment) {
    int problem = spool_place(spool);
    if (problem == 0)
        problem = segment_create(spool->directory, spool->next_number, segment);
    if (problem != 0 || spool->fsync == CARBOND_FSYNC_NONE)
        return problem;
    problem = directory_sync(spool->directory);
    if (problem != 0) {
        unlink_segment(spool, (*segment)->number);
        segment_free(*segment);
    }
    return problem;
}

static void begin_with(struct spool *spool, struct segment *segment) {
    spool_insert(spool, segment);
    spool->active = segment;
}

static int begin_on_disk(struct spool *spool) {
    struct segment *segment;
    int problem = create_on_disk(spool, &segment);
    spool_note_disk(spool, problem);
    if (problem == 0)
        begin_with(spool, segment);
    return problem;
}

/* Whether the disk is worth an attempt. */
static bool may_work(const struct spool *spool) {
    return spool->disk_errno == 0 || clock_monotonic() >= spool->disk_retry;
}

static int begin_segment(struct spool *spool) {
    if (may_work(spool) && begin_on_disk(spool) == 0)
        return 0;
    struct segment *segment;
    int problem = segment_create(-1, spool->next_number, &segment);
    if (problem == 0)
        begin_with(spool, segment);
    return problem;
}

/* What waits in memory is the touchstone, or else a new segment: if the disk still refuses, `disk_errno` goes on saying so. */
void spool_recover(struct spool *spool) {
    if (spool->disk_errno == 0 || !may_work(spool))
        return;
    if (spool->active && spool->active->in_memory) {
        spool_note_disk(spool, move_to_disk(spool, spool->active));
        return;
    }
    spool_roll(spool);
    begin_on_disk(spool);
}

/* The segment to write to; NULL and an errno. */
static struct segment *prepare_segment(struct spool *spool, int *problem) {
    spool_recover(spool);
    if (spool->active && spool->active->size >= segment_most(spool))
        spool_roll(spool);
    memset(&spool->filled, 0, sizeof spool->filled);
    *problem = spool->active ? 0 : begin_segment(spool);
    return *problem == 0 ? spool->active : NULL;
}

static bool put(struct spool *spool, const struct record *record) {
    if (SPOOL_BUFFER - spool->filled.length < SEGMENT_RECORD_HEADER + record_size(record))
        return false;
    spool->filled.length += segment_encode(record, spool->buffer + spool->filled.length);
    spool->filled.records++;
    spool->filled.emissions += record->type == RECORD_EMISSION;
    return true;
}

static bool put_run(struct spool *spool, const struct carbond_run *run) {
    struct record creation = {.type = RECORD_RUN,
                              .run = run->id,
                              .dropped = run->dropped,
                              .json = run->creation,
                              .json_length = run->creation_length};
    return !run->creation || put(spool, &creation);
}

static bool put_entry(struct spool *spool, const struct ring_entry *entry) {
    struct spool_filled before = spool->filled;
    struct record record = {.type = RECORD_EMISSION, .run = entry->run->id, .emission = entry->emission};
    bool is_first = entry->run->written_in != spool->active->number;
    if ((!is_first || put_run(spool, entry->run)) && put(spool, &record)) {
        entry->run->written_in = spool->active->number;
        return true;
    }
    spool->filled = before;
    return false;
}

/* Writes the buffer. 0, or an errno: ENOBUFS when a cap forbids it. */
static int write_buffer(struct spool *spool, struct segment *segment) {
    if (segment->in_memory ? segment->size + spool->filled.length > MEMORY_MOST
                           : !spool_make_room(spool, spool->filled.length))
        return ENOBUFS;
    int problem = segment_append(segment, spool->buffer, spool->filled.length);
    if (problem != 0)
        return problem;
    segment->records += spool->filled.records;
    segment->emissions += spool->filled.emissions;
    spool->pending += spool->filled.emissions;
    spool->bytes += segment->in_memory ? 0 : spool->filled.length;
    spool->appended++;
    return 0;
}

/* After a failure. The disk's: the next attempt begins another segment, in memory if need be. */
static void give_up_segment(struct spool *spool, const struct segment *segment, int problem) {
    if (problem == ENOBUFS || segment->in_memory)
        return;
    spool_note_disk(spool, problem);
    spool_roll(spool);
}

static int result_of_write(const struct spool *spool) {
    return spool->active && spool->active->in_memory ? CARBOND_NOT_DURABLE : CARBOND_OK;
}

static int try_to_write(struct spool *spool, struct ring_entry *const entries[], size_t count,
                        size_t *taken) {
    int problem;
    struct segment *segment = prepare_segment(spool, &problem);
    if (!segment)
        return problem;
    size_t fitting = 0;
    while (fitting < count && put_entry(spool, entries[fitting]))
        fitting++;
    problem = write_buffer(spool, segment);
    if (problem == 0) {
        *taken = fitting;
        return 0;
    }
    for (size_t i = 0; i < fitting; i++)
        entries[i]->run->written_in = 0;
    give_up_segment(spool, segment, problem);
    return problem;
}

int spool_write(struct spool *spool, struct ring_entry *const entries[], size_t count, size_t *taken) {
    *taken = 0;
    for (size_t i = 0; i < count; i++) {
        struct emission *emission = &entries[i]->emission;
        if (!emission->has_id)
            emission->id = id_new(spool->ids);
        emission->has_id = true;
    }
    for (int i = 0; i < ATTEMPTS; i++)
        if (try_to_write(spool, entries, count, taken) == 0)
            return result_of_write(spool);
    return CARBOND_FULL;
}

/* -- runs -------------------------------------------------------------------------------------------------------------- */

struct writing_runs {
    struct spool *spool;
    int result;
};

static int try_to_write_run(struct spool *spool, struct carbond_run *run) {
    int problem;
    struct segment *segment = prepare_segment(spool, &problem);
    if (!segment)
        return problem;
    if (!put_run(spool, run) || spool->filled.length == 0)
        return 0; /* nothing is known of it that could be written */
    problem = write_buffer(spool, segment);
    if (problem != 0)
        give_up_segment(spool, segment, problem);
    else
        run->written_in = segment->number;
    return problem;
}

/* `unwritten` is cleared before: what has to go to make room for this is told with the next one. */
static void write_run(void *context, struct carbond_run *run) {
    struct writing_runs *writing = context;
    int problem = -1;
    if (!run->unwritten || writing->result == CARBOND_FULL)
        return;
    for (int i = 0; i < ATTEMPTS && problem != 0; i++) {
        run->unwritten = false;
        problem = try_to_write_run(writing->spool, run);
    }
    run->unwritten |= problem != 0;
    writing->result = problem != 0 ? CARBOND_FULL : result_of_write(writing->spool);
}

int spool_write_runs(struct spool *spool) {
    struct writing_runs writing = {spool, CARBOND_OK};
    for (int i = 0; i < ATTEMPTS && spool->unwritten_runs && writing.result != CARBOND_FULL; i++) {
        spool->unwritten_runs = false;
        runs_each(spool->runs, write_run, &writing);
    }
    spool->unwritten_runs |= writing.result == CARBOND_FULL;
    return writing.result;
}
