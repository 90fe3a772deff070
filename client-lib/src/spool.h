/* The spool: what has been accepted and is not yet acknowledged, as segments in a directory.
 *
 *     SPOOL/                       shared by any number of processes
 *       5d41402a-UUID/             of one client: the checksum of the server's URL, and a name
 *         lock                     locked (flock) by its client; the kernel lets go when the process ends, however it does
 *         0000000000000001.seg
 *       rejected/                  what the server refused for good: a line of JSON each, with the reason
 *       broken/                    segments that were damaged
 *       runs/                      files named by the id of a run, that hold the id a plain CodeCarbon server chose for it
 *
 * A directory that nobody locks is an orphan: whoever locks it first adopts it. There is no index and no ledger: the
 * segments are all there is. Each is whole in itself: the first emission of a run in a segment follows the creation of
 * the run, so that any segment may be dropped, or sent by another process, without the others.
 *
 * While the disk refuses, records go to one segment in memory, of limited size.
 *
 * All functions: under the client's lock, except where they say otherwise. */
#pragma once

#include "counters.h"
#include "log.h"
#include "ring.h"
#include "runs.h"
#include "segment.h"

#include <limits.h>

enum {
    SPOOL_NAME_SIZE = 8 + 1 + ID_TEXT_SIZE,
    SPOOL_BUFFER = RECORD_MOST + 32 * 1024, /* the largest creation of a run, and some emissions */
};

/* What is in the spool's buffer. */
struct spool_filled {
    size_t length;
    uint32_t records, emissions;
};

struct spool {
    /* Set by the client, and never changed. */
    const char *path;
    uint32_t server; /* the checksum of its URL */
    bool adopt_all;  /* whatever the server that they were meant for */
    int fsync;       /* enum carbond_fsync */
    int when_full;   /* enum carbond_when_full */
    uint64_t max_bytes;
    int64_t max_age; /* ms; 0: none */
    struct log *log;
    struct counters *counters;
    struct runs *runs;
    struct carbond_client *client; /* for runs_get */
    struct id_maker *ids;

    int root, directory, lock;  /* -1: not open */
    int orphan, orphan_lock;    /* of the directory that is being adopted just now; -1: none */
    char name[SPOOL_NAME_SIZE]; /* of its own directory */
    struct segment *first;      /* by number */
    struct segment *active;     /* the one that is written to, or NULL */
    struct segment *forgotten;  /* in the child of a fork: the parent's */
    uint64_t next_number;
    uint64_t bytes;    /* of segments on the disk */
    uint64_t pending;  /* emissions that are not settled */
    uint64_t appended; /* writes so far: the tickets of sync.h */
    bool roll_failed; /* a segment could not be forced to the disk when it was full: sync.c tells who waits */
    bool unwritten_runs; /* some run is `unwritten` */
    int disk_errno;      /* why the disk refuses; 0: it does not */
    int64_t disk_retry;  /* monotonic clock: not to be tried before */
    int rejected;        /* the file in rejected/, or -1 */
    uint64_t rejected_bytes;

    unsigned char *buffer; /* what is being written */
    struct spool_filled filled;
    struct segment_reader reader; /* for what is dropped */
};

/* Touches no disk. False when out of memory. */
bool spool_init(struct spool *spool);

/* Syncs, deletes what is settled, and unlocks. */
void spool_destroy(struct spool *spool);

/* After fork(), in the child: forgets all that is the parent's. Calls nothing but close(). */
void spool_forget(struct spool *spool);

/* Opens the spool's directory, if it is not open. 0, or an errno. */
int spool_open_root(struct spool *spool);

/* Makes sure that the client has a directory of its own, locked. 0, or an errno. */
int spool_place(struct spool *spool);

/* Makes a name for a new directory of a client. */
void spool_make_name(struct spool *spool, char name[SPOOL_NAME_SIZE]);

/* Notes that the disk refused, or works again (`problem` 0), and says so once. */
void spool_note_disk(struct spool *spool, int problem);

/* -- writing ----------------------------------------------------------------------------------------------------------- */

/* Writes emissions in their order, as many as one write takes; `*taken` says how many were accepted.
 * CARBOND_OK; CARBOND_NOT_DURABLE: in memory alone; CARBOND_FULL: none was accepted. */
int spool_write(struct spool *spool, struct ring_entry *const entries[], size_t count, size_t *taken);

/* Writes the creations of the runs that are `unwritten`. Results as above. */
int spool_write_runs(struct spool *spool);

/* If the disk refused, and it is time to see whether it still does: moves what is in memory to it, or begins a segment. */
void spool_recover(struct spool *spool);

/* The next record goes to a new segment. */
void spool_roll(struct spool *spool);

/* -- reading ----------------------------------------------------------------------------------------------------------- */

/* The first segment whose number is at least this, opened and held; NULL when there is none, or, with an errno in
 * `*problem`, when it can't be opened. */
struct segment *spool_hold(struct spool *spool, uint64_t number, int *problem);
void spool_release(struct spool *spool, struct segment *segment);

/* Notes a record as done with. False if it was already, or its segment has been dropped. */
bool spool_settle(struct spool *spool, struct segment *segment, uint32_t index, bool is_emission);

/* Its readable records are other ones than were counted: counts them anew. */
void spool_recount(struct spool *spool, struct segment *segment);

/* Deletes segments of which all is settled; with `active_too`, the one that is written to as well. */
void spool_clean(struct spool *spool, bool active_too);

/* Puts a segment in its place by its number, and counts what it holds. Takes ownership. */
void spool_insert(struct spool *spool, struct segment *segment);

/* Takes it off the list, and its file off the disk (or out of the way, if it is damaged). What is being sent of it just now
 * may be settled yet, by whoever holds it. */
void spool_remove(struct spool *spool, struct segment *segment);

/* Takes one out that nobody holds: it is the caller's. Its file stays where it is. */
void spool_take_out(struct spool *spool, struct segment *segment);

/* -- caps (caps.c) ----------------------------------------------------------------------------------------------------- */

/* Drops the oldest segments, where that is the policy, until there is room for what is in the buffer. False if there is none. */
bool spool_make_room(struct spool *spool, uint64_t bytes);

/* Drops what is older than max_age. */
void spool_expire(struct spool *spool);

/* Counts what is pending in a segment that was dropped, once nobody sends of it any more: what the server has stored meanwhile
 * was not dropped. */
void spool_account_dropped(struct spool *spool, struct segment *segment);

/* -- others' spools (adopt.c) ------------------------------------------------------------------------------------------ */

/* Adopts orphans. Takes the client's lock itself, for moments: the files are read without it. From one thread. */
void spool_adopt(struct spool *spool, pthread_mutex_t *client_lock);

/* Makes an orphan of what was adopted and nobody holds, so that others adopt it: they may have a better token. Whether there
 * was any. Under the client's lock. */
bool spool_give_back(struct spool *spool);

/* Whether the creation of this run waits in any spool here, of whatever process. Takes the client's
 * lock for a moment. */
bool spool_somebody_creates(const struct spool *spool, pthread_mutex_t *client_lock, const struct id *run);

/* -- what is set aside (aside.c) --------------------------------------------------------------------------------------- */

/* Writes a line to rejected/: when, the status, the detail (JSON), and the record. False when the disk refuses. */
bool spool_reject(struct spool *spool, const struct record *record, int status, const char *detail);

/* Remembers in runs/ that a plain CodeCarbon server has chosen another id for a run, so that no process makes it there
 * twice; and recalls it. */
void spool_remember_remote(struct spool *spool, const struct carbond_run *run);
void spool_recall_remote(struct spool *spool, struct carbond_run *run);

/* Moves a file to broken/. 0, or an errno. */
int spool_set_aside(struct spool *spool, int directory, const char *file);
