/* gzip from strangers: whole, cut off, damaged, and far too large. */
#include "unit.h"

#include "http/decompress.h"

#include "http/compress.h"

enum { LIMIT = 1 << 20 };

static void pack(const char *text, size_t size, struct buffer *packed) {
    assert_true(compress_whole(text, size, packed));
}

static enum decompress_verdict unpack(const char *data, size_t size, size_t limit, struct buffer *out) {
    /* A copy without a byte behind it, so that a sanitizer sees who reads on. */
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    if (size)
        memcpy(copy, data, size);
    enum decompress_verdict verdict = decompress(copy, size, limit, out);
    free(copy);
    return verdict;
}

static void assert_verdict(const char *data, size_t size, size_t limit, enum decompress_verdict expected) {
    struct buffer out = {0};
    assert_int_equal(unpack(data, size, limit, &out), expected);
    buffer_free(&out);
}

static void texts_come_back(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 100, 16383, 16384, 16385, 32768, 300000, LIMIT};
    char *text = malloc(LIMIT);
    assert_non_null(text);
    for (size_t i = 0; i < LIMIT; i++)
        text[i] = (char)(i * i >> 3);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct buffer packed = {0}, out = {0};
        pack(text, sizes[i], &packed);
        assert_int_equal(unpack(packed.data, packed.size, LIMIT, &out), DECOMPRESSED);
        assert_int_equal(out.size, sizes[i]);
        if (sizes[i])
            assert_memory_equal(out.data, text, sizes[i]);
        /* The limit is what may come out. */
        assert_verdict(packed.data, packed.size, sizes[i], DECOMPRESSED);
        if (sizes[i])
            assert_verdict(packed.data, packed.size, sizes[i] - 1, DECOMPRESS_TOO_LARGE);
        buffer_free(&packed);
        buffer_free(&out);
    }
    free(text);
}

static void members_in_a_row_are_one_text(void **state) {
    (void)state;
    struct buffer packed = {0}, out = {0};
    for (int i = 0; i < 3; i++) {
        struct buffer member = {0};
        pack("line\n", i == 1 ? 0 : 5, &member); /* an empty one among them */
        buffer_append(&packed, member.data, member.size);
        buffer_free(&member);
    }
    assert_int_equal(unpack(packed.data, packed.size, 10, &out), DECOMPRESSED);
    assert_string_equal(out.data, "line\nline\n");
    assert_verdict(packed.data, packed.size, 9, DECOMPRESS_TOO_LARGE);
    buffer_free(&packed);
    buffer_free(&out);
}

static void what_is_not_whole_is_malformed(void **state) {
    (void)state;
    static const char text[] = "{\"duration\": 15, \"emissions_sum\": 1.9181295845832085e-06}";
    struct buffer packed = {0}, second = {0};
    pack(text, sizeof text - 1, &packed);
    pack(text, sizeof text - 1, &second);
    for (size_t size = 0; size < packed.size; size++)
        assert_verdict(packed.data, size, LIMIT, DECOMPRESS_MALFORMED);
    for (size_t size = 0; size < sizeof text - 1; size++)
        assert_verdict(text, size, LIMIT, DECOMPRESS_MALFORMED);
    size_t whole = packed.size;
    buffer_append(&packed, "x", 1);
    assert_verdict(packed.data, packed.size, LIMIT, DECOMPRESS_MALFORMED);
    packed.size = whole;
    buffer_append(&packed, second.data, second.size - 1); /* cut off */
    assert_verdict(packed.data, packed.size, LIMIT, DECOMPRESS_MALFORMED);
    buffer_free(&packed);
    buffer_free(&second);
}

/* A byte of the header may differ (its time, the system); of the rest the checksum tells. */
static void damage_is_noticed(void **state) {
    (void)state;
    static const char text[] = "{\"duration\": 15}\n{\"duration\": 15}\n{\"duration\": 16}\n";
    struct buffer packed = {0};
    pack(text, sizeof text - 1, &packed);
    for (size_t at = 0; at < packed.size; at++)
        for (int change = 1; change < 256; change++) {
            struct buffer out = {0};
            packed.data[at] ^= (char)change;
            enum decompress_verdict verdict = unpack(packed.data, packed.size, LIMIT, &out);
            if (verdict == DECOMPRESSED) {
                assert_int_equal(out.size, sizeof text - 1);
                assert_memory_equal(out.data, text, out.size);
            } else {
                assert_int_equal(verdict, DECOMPRESS_MALFORMED);
            }
            packed.data[at] ^= (char)change;
            buffer_free(&out);
        }
    buffer_free(&packed);
}

static void a_bomb_stops_at_the_limit(void **state) {
    (void)state;
    enum { BOMB = 64 << 20, PIECE = 64 << 10 };
    char *zeros = calloc(1, BOMB);
    struct buffer packed = {0}, out = {0};
    assert_non_null(zeros);
    pack(zeros, BOMB, &packed);
    free(zeros);
    assert_int_equal(unpack(packed.data, packed.size, LIMIT, &out), DECOMPRESS_TOO_LARGE);
    assert_true(out.size <= LIMIT + PIECE);
    buffer_free(&packed);
    buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_come_back),
        cmocka_unit_test(members_in_a_row_are_one_text),
        cmocka_unit_test(what_is_not_whole_is_malformed),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(a_bomb_stops_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
