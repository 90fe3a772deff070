#include "segment.h"

#include "bytes.h"
#include "clock.h"
#include "crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char MAGIC[8] = "carbond\n";

/* Two words that no few flipped bits turn into one another. */
static const unsigned char PENDING[4] = {'w', 'a', 'i', 't'};
static const unsigned char SETTLED[4] = {'D', 'O', 'N', 'E'};

enum { BUFFER_SIZE = 2 * RECORD_MOST, AT_VERSION = 8, AT_MADE = 16, AT_SUM = 24 };

/* -- names, making, opening -------------------------------------------------------------------------------------------- */

void segment_name(uint64_t number, char name[SEGMENT_NAME_SIZE]) {
    snprintf(name, SEGMENT_NAME_SIZE, "%016" PRIx64 ".seg", number);
}

bool segment_parse_name(const char *name, uint64_t *number) {
    char again[SEGMENT_NAME_SIZE];
    *number = strtoull(name, NULL, 16);
    segment_name(*number, again);
    return strcmp(name, again) == 0;
}

struct segment *segment_new(uint64_t number) {
    struct segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        return NULL;
    segment->number = number;
    segment->fd = -1;
    segment->age_from = clock_monotonic();
    return segment;
}

void segment_free(struct segment *segment) {
    if (!segment)
        return;
    if (segment->fd >= 0)
        close(segment->fd);
    free(segment->bits);
    free(segment);
}

static int make_file(int directory, uint64_t number) {
    char name[SEGMENT_NAME_SIZE];
    if (directory < 0)
        return memfd_create("carbond spool", MFD_CLOEXEC);
    segment_name(number, name);
    return openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int write_header(struct segment *segment) {
    unsigned char header[SEGMENT_HEADER] = {0};
    memcpy(header, MAGIC, sizeof MAGIC);
    put_u32(header + AT_VERSION, SEGMENT_VERSION);
    put_u64(header + AT_MADE, (uint64_t)clock_wall());
    put_u32(header + AT_SUM, crc32c(header, AT_SUM));
    return segment_append(segment, header, sizeof header);
}

int segment_create(int directory, uint64_t number, struct segment **segment) {
    struct segment *made = *segment = NULL;
    made = segment_new(number);
    if (!made)
        return ENOMEM;
    made->in_memory = directory < 0;
    made->fd = make_file(directory, number);
    int problem = made->fd < 0 ? errno : write_header(made);
    if (problem == 0) {
        *segment = made;
        return 0;
    }
    if (made->fd >= 0 && directory >= 0) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(number, name);
        unlinkat(directory, name, 0);
    }
    segment_free(made);
    return problem;
}

int segment_open(struct segment *segment, int directory) {
    if (segment->fd >= 0)
        return 0;
    char name[SEGMENT_NAME_SIZE];
    segment_name(segment->number, name);
    segment->fd = openat(directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (segment->fd < 0) /* marks can't be made on a read-only disk; what is there can be sent all the same */
        segment->fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return segment->fd < 0 ? errno : 0;
}

/* -- writing ----------------------------------------------------------------------------------------------------------- */

size_t segment_encode(const struct record *record, unsigned char *bytes) {
    size_t length = record_size(record);
    memcpy(bytes, PENDING, sizeof PENDING);
    put_u32(bytes + 8, (uint32_t)length);
    record_encode(record, bytes + SEGMENT_RECORD_HEADER);
    put_u32(bytes + 4, crc32c(bytes + 8, 4 + length));
    return SEGMENT_RECORD_HEADER + length;
}

int segment_append(struct segment *segment, const void *bytes, size_t length) {
    size_t written = 0;
    while (written < length) {
        ssize_t more = pwrite(segment->fd, (const char *)bytes + written, length - written,
                              (off_t)(segment->size + written));
        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0) {
            int problem = more < 0 ? errno : EIO;
            /* Half a record would be cut at the next start. If even this fails, it is written over or cut then. */
            if (ftruncate(segment->fd, (off_t)segment->size) != 0)
                errno = problem;
            return problem;
        }
        written += (size_t)more;
    }
    segment->size += length;
    return 0;
}

bool segment_is_settled(const struct segment *segment, uint32_t index) {
    return index < segment->bits_size && (segment->bits[index / 8] >> index % 8 & 1) != 0;
}

bool segment_prepare_bits(struct segment *segment) {
    if (segment->records <= segment->bits_size)
        return true;
    uint32_t size = (segment->records + 4095) / 4096 * 4096;
    unsigned char *bits = realloc(segment->bits, size / 8);
    if (!bits)
        return false;
    memset(bits + segment->bits_size / 8, 0, (size - segment->bits_size) / 8);
    segment->bits = bits;
    segment->bits_size = size;
    return true;
}

bool segment_settle(struct segment *segment, uint32_t index, bool is_emission) {
    if (index >= segment->bits_size || segment_is_settled(segment, index))
        return false;
    segment->bits[index / 8] |= (unsigned char)(1 << index % 8);
    segment->settled++;
    segment->emissions_settled += is_emission;
    return true;
}

void segment_mark(const struct segment *segment, uint64_t offset) {
    /* A disk that refuses this costs the next process a repeat. */
    ssize_t written = pwrite(segment->fd, SETTLED, sizeof SETTLED, (off_t)offset);
    (void)written;
}

/* -- reading ----------------------------------------------------------------------------------------------------------- */

bool segment_reader_init(struct segment_reader *reader) {
    *reader = (struct segment_reader){.fd = -1, .buffer = malloc(BUFFER_SIZE)};
    return reader->buffer != NULL;
}

void segment_reader_destroy(struct segment_reader *reader) {
    free(reader->buffer);
    reader->buffer = NULL;
}

void segment_reader_seek(struct segment_reader *reader, int fd, uint64_t end, uint64_t at, uint32_t index) {
    reader->fd = fd;
    reader->end = end;
    reader->at = at;
    reader->index = index;
    reader->buffered = 0;
}

/* Brings at least `length` bytes at `at` into the buffer, or all that there are. Returns how many are there, or -1. */
static ssize_t look(struct segment_reader *reader, uint64_t at, size_t length, const unsigned char **bytes) {
    size_t left = at < reader->end ? (size_t)(reader->end - at) : 0;
    if (length > left)
        length = left;
    bool inside = at >= reader->buffer_at && at - reader->buffer_at <= reader->buffered &&
                  reader->buffered - (size_t)(at - reader->buffer_at) >= length;
    if (!inside) {
        size_t want = left < BUFFER_SIZE ? left : BUFFER_SIZE;
        reader->buffer_at = at;
        reader->buffered = 0;
        while (reader->buffered < want) {
            ssize_t more = pread(reader->fd, reader->buffer + reader->buffered, want - reader->buffered,
                                 (off_t)(at + reader->buffered));
            if (more < 0 && errno == EINTR)
                continue;
            if (more < 0)
                return -1;
            if (more == 0)
                break;
            reader->buffered += (size_t)more;
        }
    }
    *bytes = reader->buffer + (at - reader->buffer_at);
    size_t there = reader->buffered - (size_t)(at - reader->buffer_at);
    return (ssize_t)(there < length ? there : length);
}

enum segment_kind segment_reader_begin(struct segment_reader *reader, int fd, uint64_t end) {
    const unsigned char *header;
    segment_reader_seek(reader, fd, end, 0, 0);
    ssize_t length = look(reader, 0, SEGMENT_HEADER, &header);
    if (length < 0)
        return SEGMENT_UNREADABLE;
    if (length < SEGMENT_HEADER || memcmp(header, MAGIC, sizeof MAGIC) != 0 ||
        get_u32(header + AT_SUM) != crc32c(header, AT_SUM))
        return SEGMENT_HEADLESS;
    if (get_u32(header + AT_VERSION) != SEGMENT_VERSION)
        return SEGMENT_NEWER;
    reader->at = SEGMENT_HEADER;
    return SEGMENT_OURS;
}

/* What is at an offset. */
enum finding { FOUND_RECORD, FOUND_NOTHING, FOUND_TOO_LITTLE, FOUND_FAILURE };

static enum finding examine(struct segment_reader *reader, uint64_t at, struct segment_entry *entry) {
    const unsigned char *bytes;
    ssize_t there = look(reader, at, SEGMENT_RECORD_HEADER, &bytes);
    if (there < 0)
        return FOUND_FAILURE;
    if (there < SEGMENT_RECORD_HEADER)
        return FOUND_TOO_LITTLE;
    uint32_t length = get_u32(bytes + 8);
    if (length < RECORD_LEAST || length > RECORD_MOST)
        return FOUND_NOTHING;
    there = look(reader, at, SEGMENT_RECORD_HEADER + length, &bytes);
    if (there < 0)
        return FOUND_FAILURE;
    if ((size_t)there < SEGMENT_RECORD_HEADER + length)
        return FOUND_TOO_LITTLE;
    /* The cheap test comes first: foreign bytes are examined at each offset. */
    if (!record_decode(bytes + SEGMENT_RECORD_HEADER, length, &entry->record) ||
        get_u32(bytes + 4) != crc32c(bytes + 8, 4 + length))
        return FOUND_NOTHING;
    entry->offset = at;
    entry->settled = memcmp(bytes, SETTLED, sizeof SETTLED) == 0;
    return FOUND_RECORD;
}

/* Whether all bytes from here to the end are zero: what a power cut leaves of a file whose size was written first. */
static bool only_zeros(struct segment_reader *reader, uint64_t at) {
    const unsigned char *bytes;
    for (; at < reader->end; at++)
        if (look(reader, at, 1, &bytes) != 1 || *bytes != 0)
            return false;
    return true;
}

/* Looks for the next place where a record is. */
static enum segment_step skip_damage(struct segment_reader *reader, enum finding first,
                                     struct segment_entry *entry) {
    uint64_t damage = reader->at;
    struct segment_entry next;
    for (uint64_t at = damage + 1; at + SEGMENT_RECORD_HEADER + RECORD_LEAST <= reader->end; at++) {
        enum finding found = examine(reader, at, &next);
        if (found == FOUND_FAILURE)
            return SEGMENT_FAILED;
        if (found == FOUND_RECORD) {
            entry->offset = damage;
            reader->at = at;
            return SEGMENT_DAMAGE;
        }
    }
    entry->offset = damage;
    bool torn = first == FOUND_TOO_LITTLE || only_zeros(reader, damage);
    reader->at = reader->end;
    return torn ? SEGMENT_TORN : SEGMENT_DAMAGE;
}

enum segment_step segment_reader_next(struct segment_reader *reader, struct segment_entry *entry) {
    if (reader->at >= reader->end)
        return SEGMENT_END;
    enum finding found = examine(reader, reader->at, entry);
    if (found == FOUND_FAILURE)
        return SEGMENT_FAILED;
    if (found != FOUND_RECORD)
        return skip_damage(reader, found, entry);
    entry->index = reader->index++;
    reader->at += SEGMENT_RECORD_HEADER + record_size(&entry->record);
    return SEGMENT_RECORD;
}

/* -- surveying --------------------------------------------------------------------------------------------------------- */

static void count_record(struct segment_survey *survey, const struct segment_entry *entry, uint64_t end) {
    bool is_emission = entry->record.type == RECORD_EMISSION;
    survey->size = end;
    survey->records++;
    survey->settled += entry->settled;
    survey->emissions += is_emission;
    survey->emissions_settled += is_emission && entry->settled;
}

static int64_t time_made(struct segment_reader *reader) {
    const unsigned char *header;
    return look(reader, 0, SEGMENT_HEADER, &header) == SEGMENT_HEADER ? (int64_t)get_u64(header + AT_MADE)
                                                                      : 0;
}

bool segment_survey(struct segment_reader *reader, int fd, struct segment_survey *survey,
                    void (*visit)(void *context, const struct segment_entry *entry), void *context) {
    struct stat file;
    *survey = (struct segment_survey){.kind = SEGMENT_UNREADABLE};
    if (fstat(fd, &file) != 0)
        return false;
    survey->kind = segment_reader_begin(reader, fd, (uint64_t)file.st_size);
    if (survey->kind == SEGMENT_UNREADABLE)
        return false;
    if (survey->kind == SEGMENT_NEWER)
        return true;
    if (survey->kind == SEGMENT_OURS)
        survey->made = time_made(reader);
    survey->size = reader->at;
    if (file.st_size < SEGMENT_HEADER) {
        survey->torn = true; /* its maker ended with the first write */
        return true;
    }
    for (;;) {
        struct segment_entry entry;
        switch (segment_reader_next(reader, &entry)) {
        case SEGMENT_RECORD:
            count_record(survey, &entry, reader->at);
            if (visit)
                visit(context, &entry);
            break;
        case SEGMENT_DAMAGE:
            survey->damages++;
            survey->lost += reader->at - entry.offset;
            break;
        case SEGMENT_TORN: survey->torn = true; break;
        case SEGMENT_END: return true;
        case SEGMENT_FAILED: return false;
        }
    }
}
