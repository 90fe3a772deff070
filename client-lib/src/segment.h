/* A segment: a file of records, of which the spool is made. All numbers are little-endian.
 *
 *     header   "carbond\n" (8 bytes), version (4), zero (4), when it was made: microseconds since 1970 (8),
 *              CRC-32C of what precedes (4), zero (4)
 *     record   mark (4), CRC-32C of length and payload (4), length of the payload (4), payload (record.h)
 *
 * Records are only ever added at the end, but for the mark: it may be overwritten in place when the record is settled, so
 * that the next process does not send it again. A mark that is missing costs a repeat, nothing else: the checksum does not
 * cover it, and whatever is not exactly the mark of the settled counts as pending.
 *
 * A file that ends in the middle of a record is torn: the rest is cut. One with something else where a record should be
 * is damaged: reading goes on at the next place where a record's checksum holds. */
#pragma once

#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SEGMENT_VERSION = 1,
    SEGMENT_HEADER = 32,
    SEGMENT_RECORD_HEADER = 12,
    SEGMENT_NAME_SIZE = 24, /* 16 hexadecimal digits and ".seg" */
};

struct segment {
    struct segment *next;
    uint64_t number;     /* its place among the others, and its name */
    int fd;              /* -1: not open */
    unsigned holders;    /* who reads it; the file is open while there are any */
    bool in_memory;      /* a file without a name, since the disk refuses one */
    bool adopted;        /* left by another process */
    bool damaged;        /* set aside, and not deleted, when it is settled */
    bool removed;        /* no longer part of the spool: it ends when its last holder lets go of it */
    const char *dropped; /* why it was removed with what was pending in it; or NULL */
    int64_t age_from;    /* monotonic clock: when it was made */
    uint64_t size;       /* bytes up to the end of the last whole record */
    uint32_t records, settled;
    uint32_t emissions, emissions_settled;
    unsigned char *bits; /* of each record, whether it is settled; NULL: of none */
    uint32_t bits_size;  /* in records */
};

/* Writes the name of a segment's file. */
void segment_name(uint64_t number, char name[SEGMENT_NAME_SIZE]);

/* False if it is the name of no segment. */
bool segment_parse_name(const char *name, uint64_t *number);

/* Makes a new, empty file in a directory; or one in memory, where `directory` is -1. 0, or an errno; `*segment` is NULL then.
 * The caller frees it with segment_free. */
int segment_create(int directory, uint64_t number, struct segment **segment);

/* For a file that is there; it is not opened yet. NULL when out of memory. */
struct segment *segment_new(uint64_t number);

/* Closes its file, which stays. NULL is allowed. */
void segment_free(struct segment *segment);

/* Opens its file if it is closed. 0, or an errno. */
int segment_open(struct segment *segment, int directory);

/* Encodes a record with its header, for segment_append. Returns the number of bytes: SEGMENT_RECORD_HEADER + record_size. */
size_t segment_encode(const struct record *record, unsigned char *bytes);

/* Adds encoded records, all or none. 0, or an errno. Does not count them: the caller knows what they are. */
int segment_append(struct segment *segment, const void *bytes, size_t length);

bool segment_is_settled(const struct segment *segment, uint32_t index);

/* Makes room for the bits of all its records. False when out of memory: nothing of it must be sent then. */
bool segment_prepare_bits(struct segment *segment);

/* Notes a record as settled: in memory, which counts, and in the file, which helps the next process. False if it was
 * settled already. */
bool segment_settle(struct segment *segment, uint32_t index, bool is_emission);
void segment_mark(const struct segment *segment, uint64_t offset);

/* -- reading ----------------------------------------------------------------------------------------------------------- */

/* What the header says. */
enum segment_kind {
    SEGMENT_OURS,
    SEGMENT_NEWER,      /* of a later version of the library: to be left alone */
    SEGMENT_HEADLESS,   /* no header of ours; perhaps there are records all the same */
    SEGMENT_UNREADABLE, /* the system can't read it: errno tells */
};

struct segment_reader {
    int fd;
    uint64_t end;   /* where reading ends */
    uint64_t at;    /* the next record */
    uint32_t index; /* its place among the readable records */
    uint64_t buffer_at;
    size_t buffered;
    unsigned char *buffer;
};

enum segment_step {
    SEGMENT_RECORD,
    SEGMENT_DAMAGE, /* the bytes from `offset` to the reader's `at` are no records; reading may go on */
    SEGMENT_TORN,   /* the file ends in the middle of the record at `offset` */
    SEGMENT_END,
    SEGMENT_FAILED, /* the system can't read it: errno tells */
};

struct segment_entry {
    struct record record; /* points into the reader's buffer: valid until the next step */
    uint64_t offset;
    uint32_t index;
    bool settled; /* by its mark */
};

/* False when out of memory. */
bool segment_reader_init(struct segment_reader *reader);
void segment_reader_destroy(struct segment_reader *reader);

/* Reads a header; the reader stands behind it then. Where there is none, it stands at the beginning. */
enum segment_kind segment_reader_begin(struct segment_reader *reader, int fd, uint64_t end);

/* Goes on at the record that is at this offset. */
void segment_reader_seek(struct segment_reader *reader, int fd, uint64_t end, uint64_t at, uint32_t index);

enum segment_step segment_reader_next(struct segment_reader *reader, struct segment_entry *entry);

/* What a whole file holds. */
struct segment_survey {
    enum segment_kind kind;
    int64_t made;  /* microseconds since 1970, or 0 */
    uint64_t size; /* up to the end of the last whole record */
    uint32_t records, settled, emissions, emissions_settled;
    uint64_t damages; /* places where there was no record */
    uint64_t lost;    /* bytes there */
    bool torn;
};

/* Reads a whole file from its beginning. `visit` (or NULL) is called for each readable record. False when the system
 * can't read it: errno tells. */
bool segment_survey(struct segment_reader *reader, int fd, struct segment_survey *survey,
                    void (*visit)(void *context, const struct segment_entry *entry), void *context);
