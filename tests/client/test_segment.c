#include "unit.h"

#include "segment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORDS = 6, MOST = 4096 };

static char directory_path[] = "/tmp/carbond-segment-XXXXXX";
static int directory;
static struct segment_reader reader;

/* A whole segment's bytes, and where its records end: a run's creation, and emissions. */
static unsigned char whole[MOST];
static size_t whole_length, ends[RECORDS + 1];

/* The same numbers in each run (xorshift64). */
static uint64_t chance(void) {
    static uint64_t state = 88172645463325252U;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 16;
}

static struct record sample(int number) {
    static const char json[] = "{\"experiment_id\":\"x\"}";
    struct record record = {.type = RECORD_EMISSION, .json = json, .json_length = sizeof json - 1};
    memset(record.run.bytes, 7, 16);
    memset(record.emission.id.bytes, number, 16);
    for (int i = 0; i < EMISSION_NUMBERS; i++)
        record.emission.numbers[i] = number + i / 7.0;
    record.emission.timestamp = INT64_C(1795455600123456) + number;
    if (number == 0)
        record.type = RECORD_RUN;
    return record;
}

static int set_up(void **state) {
    (void)state;
    struct segment *segment;
    if (!mkdtemp(directory_path) || (directory = open(directory_path, O_RDONLY | O_DIRECTORY)) < 0 ||
        !segment_reader_init(&reader) || segment_create(directory, 1, &segment) != 0)
        return 1;
    ends[0] = segment->size;
    for (int i = 0; i < RECORDS; i++) {
        unsigned char bytes[512];
        struct record record = sample(i);
        if (segment_append(segment, bytes, segment_encode(&record, bytes)) != 0)
            return 1;
        ends[i + 1] = segment->size;
    }
    whole_length = segment->size;
    ssize_t length = pread(segment->fd, whole, MOST, 0);
    segment_free(segment);
    return length != (ssize_t)whole_length || unlinkat(directory, "0000000000000001.seg", 0) != 0;
}

static int tear_down(void **state) {
    (void)state;
    segment_reader_destroy(&reader);
    close(directory);
    return rmdir(directory_path);
}

/* -- reading a file of any bytes --------------------------------------------------------------------------------------------- */

static struct {
    int count;
    int numbers[RECORDS + 1];
} seen;

static void see(void *context, const struct segment_entry *entry) {
    (void)context;
    assert_in_range(seen.count, 0, RECORDS);
    assert_int_equal(entry->index, seen.count);
    const struct record *record = &entry->record;
    int number = record->type == RECORD_RUN ? 0 : record->emission.id.bytes[0];
    struct record expected = sample(number);
    assert_int_equal(record->type, expected.type);
    assert_memory_equal(record->run.bytes, expected.run.bytes, 16);
    if (record->type == RECORD_EMISSION)
        assert_memory_equal(record->emission.numbers, expected.emission.numbers,
                            sizeof expected.emission.numbers);
    seen.numbers[seen.count++] = number;
}

static struct segment_survey survey_bytes(const unsigned char *bytes, size_t length) {
    struct segment_survey survey;
    int fd = openat(directory, "file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    seen.count = 0;
    assert_true(segment_survey(&reader, fd, &survey, see, NULL));
    close(fd);
    unlinkat(directory, "file", 0);
    return survey;
}

static void test_a_whole_one(void **state) {
    (void)state;
    struct segment_survey survey = survey_bytes(whole, whole_length);
    assert_int_equal(survey.kind, SEGMENT_OURS);
    assert_int_equal(survey.size, whole_length);
    assert_int_equal(survey.records, RECORDS);
    assert_int_equal(survey.emissions, RECORDS - 1);
    assert_int_equal(survey.settled, 0);
    assert_int_equal(survey.damages, 0);
    assert_false(survey.torn);
    assert_true(survey.made > 0);
}

/* Cut at each byte: what is whole is read, the rest is told to be torn, and where to cut is right. */
static void test_torn_at_every_byte(void **state) {
    (void)state;
    for (size_t length = 0; length < whole_length; length++) {
        struct segment_survey survey = survey_bytes(whole, length);
        int expected = 0;
        while (expected < RECORDS && ends[expected + 1] <= length)
            expected++;
        assert_int_equal(seen.count, expected);
        assert_int_equal(survey.damages, 0);
        bool on_an_edge = length >= ends[0] && ends[expected] == length;
        assert_int_equal(survey.torn, !on_an_edge);
        if (length >= ends[0])
            assert_int_equal(survey.size, ends[expected]);
    }
}

/* The size reached the disk before the bytes did. */
static void test_a_tail_of_zeros(void **state) {
    (void)state;
    unsigned char bytes[MOST];
    memcpy(bytes, whole, whole_length);
    memset(bytes + ends[4], 0, whole_length - ends[4]);
    struct segment_survey survey = survey_bytes(bytes, whole_length);
    assert_int_equal(seen.count, 4);
    assert_true(survey.torn);
    assert_int_equal(survey.size, ends[4]);
    assert_int_equal(survey.damages, 0);
}

/* A flipped bit costs one record at most, and never makes another one of it. */
static void test_a_flipped_bit_at_every_byte(void **state) {
    (void)state;
    unsigned char bytes[MOST];
    for (size_t at = 0; at < whole_length; at++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(bytes, whole, whole_length);
            bytes[at] ^= (unsigned char)(1 << bit);
            struct segment_survey survey = survey_bytes(bytes, whole_length);
            int hit = -1; /* the header */
            while (hit < RECORDS - 1 && at >= ends[hit + 1])
                hit++;
            bool in_mark = hit >= 0 && at - ends[hit] < 4;
            bool harmless = in_mark || (at >= 28 && at < 32); /* what no checksum covers */
            assert_int_equal(survey.settled, 0);
            assert_int_equal(survey.damages + survey.torn, harmless ? 0 : 1);
            assert_int_equal(seen.count, harmless || hit < 0 ? RECORDS : RECORDS - 1);
            for (int i = 0, number = 0; i < seen.count; i++, number++) {
                number += !harmless && number == hit;
                assert_int_equal(seen.numbers[i], number);
            }
        }
    }
}

static void test_foreign_bytes(void **state) {
    (void)state;
    unsigned char bytes[MOST];
    struct segment_survey survey;
    for (int i = 0; i < 2000; i++) {
        size_t length = (size_t)chance() % MOST;
        for (size_t k = 0; k < length; k++)
            bytes[k] = (unsigned char)chance();
        survey = survey_bytes(bytes, length);
        assert_int_equal(survey.kind, SEGMENT_HEADLESS);
        assert_int_equal(survey.records, 0);
    }
    /* Records in foreign bytes are found all the same. */
    memset(bytes, 'x', 100);
    memcpy(bytes + 100, whole + ends[0], whole_length - ends[0]);
    survey = survey_bytes(bytes, 100 + whole_length - ends[0]);
    assert_int_equal(survey.kind, SEGMENT_HEADLESS);
    assert_int_equal(seen.count, RECORDS);
    assert_int_equal(survey.damages, 1);
}

static void test_a_newer_version(void **state) {
    (void)state;
    /* "carbond\n", version 2, its checksum: written down here, since this version can't make one. */
    static const unsigned char header[SEGMENT_HEADER] = {'c', 'a', 'r', 'b', 'o', 'n', 'd', '\n', 2};
    unsigned char bytes[MOST];
    memcpy(bytes, whole, whole_length);
    memcpy(bytes, header, 24);
    static const unsigned char sum[4] = {0x95, 0x86, 0x2b, 0xa5};
    memcpy(bytes + 24, sum, 4);
    struct segment_survey survey = survey_bytes(bytes, whole_length);
    assert_int_equal(survey.kind, SEGMENT_NEWER);
    assert_int_equal(seen.count, 0);
}

/* -- settling ---------------------------------------------------------------------------------------------------------------- */

static void test_marks(void **state) {
    (void)state;
    struct segment *segment;
    struct segment_survey survey;
    assert_int_equal(segment_create(-1, 9, &segment), 0);
    assert_true(segment->in_memory);
    assert_int_equal(segment_append(segment, whole + ends[0], whole_length - ends[0]), 0);
    segment->records = RECORDS;
    segment->emissions = RECORDS - 1;
    assert_false(segment_settle(segment, 3, true)); /* no room for bits yet */
    assert_true(segment_prepare_bits(segment));
    assert_false(segment_is_settled(segment, 3));
    assert_true(segment_settle(segment, 3, true));
    assert_false(segment_settle(segment, 3, true));
    assert_true(segment_is_settled(segment, 3));
    segment_mark(segment, ends[3]);
    segment_mark(segment, ends[0]);
    assert_true(segment_survey(&reader, segment->fd, &survey, NULL, NULL));
    assert_int_equal(survey.records, RECORDS);
    assert_int_equal(survey.settled, 2);
    assert_int_equal(survey.emissions_settled, 1);
    segment_free(segment);
}

static void test_names(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "lock",
                                      "1.seg",
                                      "000000000000000g.seg",
                                      "0000000000000001.sec",
                                      "0000000000000001.seg.gz",
                                      "0x00000000000001.seg",
                                      "00000000000000AB.seg"};
    char name[SEGMENT_NAME_SIZE];
    uint64_t number;
    segment_name(UINT64_C(0xfedcba9876543210), name);
    assert_string_equal(name, "fedcba9876543210.seg");
    assert_true(segment_parse_name(name, &number));
    assert_true(number == UINT64_C(0xfedcba9876543210));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(segment_parse_name(bad[i], &number));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_one),     cmocka_unit_test(test_torn_at_every_byte),
        cmocka_unit_test(test_a_tail_of_zeros), cmocka_unit_test(test_a_flipped_bit_at_every_byte),
        cmocka_unit_test(test_foreign_bytes),   cmocka_unit_test(test_a_newer_version),
        cmocka_unit_test(test_marks),           cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
