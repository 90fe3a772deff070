/* A file of the spool, of any bytes. Each byte belongs to the header, a record, damage or the torn end; a record's bytes
 * are those that encoding it makes; it can be found again by its offset, be marked, and be sent as JSON that says the same;
 * and what is added after the torn end was cut is read. Half of the inputs (by the first byte) get right checksums, which
 * a fuzzer does not find. */
#include "fuzz.h"

#include "bytes.h"
#include "crc32c.h"
#include "segment.h"

#include <jansson.h>
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

static int file = -1;
static struct segment_reader reader, other;
static unsigned char encoded[SEGMENT_RECORD_HEADER + RECORD_MOST];

static void open_all(void) {
    if (file >= 0)
        return;
    file = memfd_create("fuzz", MFD_CLOEXEC);
    HOLDS(file >= 0 && segment_reader_init(&reader) && segment_reader_init(&other));
}

static void write_file(const void *bytes, size_t size) {
    HOLDS(ftruncate(file, 0) == 0 && pwrite(file, bytes, size, 0) == (ssize_t)size);
}

static void repair(unsigned char *bytes, size_t size) {
    if (size < SEGMENT_HEADER)
        return;
    put_u32(bytes + 24, crc32c(bytes, 24));
    size_t at = SEGMENT_HEADER;
    while (size - at >= SEGMENT_RECORD_HEADER) {
        size_t length = get_u32(bytes + at + 8);
        if (length > size - at - SEGMENT_RECORD_HEADER)
            return;
        put_u32(bytes + at + 4, crc32c(bytes + at + 8, 4 + length));
        at += SEGMENT_RECORD_HEADER + length;
    }
}

/* ---- a record */

/* The mark is not encoded. */
static void check_bytes(const struct segment_entry *entry, const unsigned char *there) {
    size_t size = segment_encode(&entry->record, encoded);
    HOLDS(memcmp(encoded + 4, there + 4, size - 4) == 0);
    HOLDS(entry->settled == (memcmp(there, "DONE", 4) == 0));
}

static void check_found_again(const struct segment_entry *entry, uint64_t end) {
    struct segment_entry again;
    segment_reader_seek(&other, file, end, entry->offset, entry->index);
    HOLDS(segment_reader_next(&other, &again) == SEGMENT_RECORD);
    HOLDS(again.index == entry->index && again.offset == entry->offset && again.settled == entry->settled);
    HOLDS(again.record.type == entry->record.type && id_equal(&again.record.run, &entry->record.run));
}

static void check_number(const json_t *number, double expected) {
    if (isnan(expected))
        HOLDS(json_is_null(number));
    else
        HOLDS(json_is_real(number) && json_real_value(number) == expected);
}

static void check_json(const struct emission *emission) {
    static const char *const some[] = {"duration", "emissions_sum"};
    char text[EMISSION_JSON_SIZE];
    size_t size = emission_print(emission, &emission->run, text);
    HOLDS(size <= sizeof text);
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    HOLDS(json_object_size(object) == 3 + EMISSION_NUMBERS);
    for (size_t i = 0; i < COUNT(some); i++)
        check_number(json_object_get(object, some[i]), emission->numbers[i]);
    check_number(json_object_get(object, "wue"), emission->numbers[EMISSION_NUMBERS - 1]);
    json_decref(object);
}

static void check_record(const struct segment_entry *entry, const unsigned char *there) {
    check_bytes(entry, there);
    if (entry->record.type == RECORD_EMISSION)
        check_json(&entry->record.emission);
    else
        HOLDS(entry->record.json[0] == '{' && entry->record.json_length <= RECORD_JSON_MOST);
}

/* ---- the file */

/* Every step begins where the one before ended. */
static void check_steps(const unsigned char *bytes, uint64_t end, const struct segment_survey *survey) {
    struct segment_entry entry, last = {.offset = end};
    uint32_t records = 0;
    uint64_t at = reader.at, damages = 0;
    for (enum segment_step step; (step = segment_reader_next(&reader, &entry)) != SEGMENT_END;
         at = reader.at) {
        HOLDS(step != SEGMENT_FAILED && entry.offset == at && reader.at > at && reader.at <= end);
        HOLDS(step != SEGMENT_TORN || reader.at == end);
        damages += step == SEGMENT_DAMAGE;
        if (step != SEGMENT_RECORD)
            continue;
        HOLDS(entry.index == records++ && reader.at <= survey->size);
        check_record(&entry, bytes + at);
        last = entry;
    }
    HOLDS(at == end && records == survey->records && damages == survey->damages);
    if (records > 0)
        check_found_again(&last, end);
}

static void mark(void *context, const struct segment_entry *entry) {
    segment_mark(context, entry->offset);
}

/* Without damage: a stretch that is passed over may hold what a mark in it makes a record, with a checksum of its bytes that the
 * fuzzer, unlike chance, comes upon. */
static void check_marks(const struct segment_survey *before) {
    struct segment segment = {.fd = file};
    struct segment_survey survey;
    HOLDS(segment_survey(&reader, file, &survey, mark, &segment));
    HOLDS(segment_survey(&reader, file, &survey, NULL, NULL));
    HOLDS(survey.settled == survey.records && survey.records == before->records);
    HOLDS(survey.emissions_settled == survey.emissions && survey.emissions == before->emissions);
}

/* What is added is there, at its offset. It is also what reading from the beginning comes to, but after damage: a stretch
 * may hold a record that, by a checksum that only a fuzzer comes upon, is made whole by what follows. */
static void check_added(const struct segment_survey *before, const struct segment *segment) {
    struct segment_survey survey;
    struct segment_entry added;
    segment_reader_seek(&other, file, segment->size, before->size, before->records);
    HOLDS(segment_reader_next(&other, &added) == SEGMENT_RECORD && other.at == segment->size);
    HOLDS(segment_survey(&reader, file, &survey, NULL, NULL));
    HOLDS(before->damages > 0 || (survey.records == before->records + 1 && survey.size == segment->size));
}

/* What a process does with a segment that it adopts: the end is cut, and it goes on there. */
static void check_goes_on(const struct segment_survey *before) {
    struct segment segment = {.fd = file, .size = before->size};
    struct segment_survey survey;
    struct record record = {.type = RECORD_RUN, .json = "{\"a\":1}", .json_length = 7};
    HOLDS(ftruncate(file, (off_t)before->size) == 0);
    HOLDS(segment_survey(&reader, file, &survey, NULL, NULL));
    HOLDS(!survey.torn && survey.records == before->records && survey.size == before->size);
    HOLDS(segment_append(&segment, encoded, segment_encode(&record, encoded)) == 0);
    check_added(before, &segment);
}

static void check_file(const unsigned char *bytes, size_t size) {
    struct segment_survey survey;
    HOLDS(segment_survey(&reader, file, &survey, NULL, NULL) && survey.kind != SEGMENT_UNREADABLE);
    HOLDS(survey.size <= size && survey.settled <= survey.records && survey.emissions <= survey.records);
    if (survey.kind == SEGMENT_NEWER || size < SEGMENT_HEADER)
        return;
    HOLDS(segment_reader_begin(&reader, file, size) == survey.kind);
    check_steps(bytes, size, &survey);
    if (survey.damages == 0)
        check_marks(&survey);
    if (survey.kind == SEGMENT_OURS)
        check_goes_on(&survey);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    open_all();
    unsigned char *bytes = (unsigned char *)fuzz_text(data + 1, size - 1);
    if (data[0] & 1)
        repair(bytes, size - 1);
    write_file(bytes, size - 1);
    check_file(bytes, size - 1);
    free(bytes);
    return 0;
}
