#include "unit.h"

#include "http/compress.h"

#include <zlib.h>

static void test_accepted(void **state) {
    (void)state;
    static const struct {
        const char *header;
        bool accepted;
    } cases[] = {
        {NULL, false},          {"", false},
        {"gzip", true},         {"GZip", true},
        {"x-gzip", true},       {"*", true},
        {"identity", false},    {"br, gzip", true},
        {"gzip;q=0", false},    {"gzip;q=0.000", false},
        {"gzip; q=0.1", true},  {"*;q=0", false},
        {"gzip;q=0, *", false}, {"*;q=0, gzip", true},
        {"deflate", false},     {"gzipx", false},
        {" ,,gzip , br", true}, {"identity;q=1, *;q=0", false},
        {"gzip;q=1.0", true},   {"br;q=1,gzip;q=0", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (compress_accepted(cases[i].header) != cases[i].accepted)
            fail_msg("%s", cases[i].header ? cases[i].header : "(none)");
}

static void inflate_and_compare(const struct buffer *packed, const char *data, size_t size) {
    char *out = malloc(size + 1);
    z_stream zlib = {.next_in = (unsigned char *)packed->data, .avail_in = (unsigned)packed->size};
    assert_non_null(out);
    zlib.next_out = (unsigned char *)out;
    zlib.avail_out = (unsigned)size + 1;
    assert_int_equal(inflateInit2(&zlib, 15 + 16), Z_OK);
    assert_int_equal(inflate(&zlib, Z_FINISH), Z_STREAM_END);
    assert_int_equal(zlib.total_out, size);
    assert_int_equal(zlib.avail_in, 0);
    assert_memory_equal(out, data, size);
    inflateEnd(&zlib);
    free(out);
}

/* Bytes that do not shrink, the same in each run (xorshift). */
static char next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (char)*seed;
}

static void test_round_trip(void **state) {
    (void)state;
    enum { LARGEST = 300000 };
    static const size_t sizes[] = {0, 1, 1023, 16384, 16385, LARGEST};
    uint64_t seed = 7;
    char *data = malloc(LARGEST);
    assert_non_null(data);
    for (int random = 0; random < 2; random++) {
        for (size_t i = 0; i < LARGEST; i++)
            data[i] = random ? next_random(&seed) : "emission "[i % 9];
        for (size_t i = 0; i < COUNT(sizes); i++) {
            struct buffer whole = {0}, pieces = {0};
            assert_true(compress_whole(data, sizes[i], &whole));
            inflate_and_compare(&whole, data, sizes[i]);
            struct compressor *compressor = compressor_new();
            assert_non_null(compressor);
            for (size_t at = 0; at < sizes[i]; at += 997)
                assert_true(compressor_write(compressor, data + at, sizes[i] - at < 997 ? sizes[i] - at : 997,
                                             false, &pieces));
            assert_true(compressor_write(compressor, "", 0, true, &pieces));
            inflate_and_compare(&pieces, data, sizes[i]);
            compressor_free(compressor);
            buffer_free(&whole);
            buffer_free(&pieces);
        }
    }
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_accepted), cmocka_unit_test(test_round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
