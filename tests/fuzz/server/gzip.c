/* gzip both ways. Any bytes: what comes out keeps the limit, exactly. What we compress, in however many pieces, is read
 * back; cut anywhere, or damaged, it is refused. Accept-Encoding is read without harm. */
#include "fuzz.h"

#include "http/compress.h"
#include "http/decompress.h"

#include <zlib.h>

enum { LIMIT = 1 << 20 };

/* By zlib's other way of reading gzip, which also takes several members for one text. False: it is not all gzip. */
static bool is_gzip(const uint8_t *data, size_t size, const struct buffer *out) {
    z_stream zlib = {.next_in = (unsigned char *)(uintptr_t)data, .avail_in = (unsigned)size};
    size_t compared = 0;
    int status = Z_STREAM_END;
    unsigned char byte;
    HOLDS(inflateInit2(&zlib, 15 + 16) == Z_OK);
    while (status == Z_OK || (status == Z_STREAM_END && zlib.avail_in > 0)) {
        if (status == Z_STREAM_END)
            inflateReset(&zlib);
        zlib.next_out = &byte;
        zlib.avail_out = 1;
        status = inflate(&zlib, Z_NO_FLUSH);
        if (zlib.avail_out == 0)
            HOLDS(compared < out->size && (unsigned char)out->data[compared++] == byte);
    }
    inflateEnd(&zlib);
    return status == Z_STREAM_END && compared == out->size;
}

static void check_limits(const uint8_t *data, size_t size, const struct buffer *whole) {
    struct buffer out = {0};
    HOLDS(decompress(data, size, whole->size, &out) == DECOMPRESSED && out.size == whole->size);
    buffer_free(&out);
    if (whole->size > 0)
        HOLDS(decompress(data, size, whole->size - 1, &out) == DECOMPRESS_TOO_LARGE);
    buffer_free(&out);
}

static void check_any(const uint8_t *data, size_t size) {
    struct buffer out = {0};
    enum decompress_verdict verdict = decompress(data, size, LIMIT, &out);
    HOLDS(verdict != DECOMPRESS_NO_MEMORY);
    HOLDS((verdict == DECOMPRESS_TOO_LARGE) == (out.size > LIMIT));
    if (verdict == DECOMPRESSED) {
        HOLDS(size > 0 && is_gzip(data, size, &out));
        if (out.size <= LIMIT / 16)
            check_limits(data, size, &out);
    }
    buffer_free(&out);
}

static void check_reads_back(const struct buffer *packed, const uint8_t *data, size_t size) {
    struct buffer plain = {0};
    HOLDS(!packed->failed && decompress(packed->data, packed->size, size, &plain) == DECOMPRESSED);
    HOLDS(plain.size == size && (size == 0 || memcmp(plain.data, data, size) == 0));
    buffer_free(&plain);
}

/* The trailer has a checksum and the length: no cut and no changed byte in it goes unnoticed. */
static void check_damage(struct buffer *packed, size_t size, size_t where) {
    struct buffer plain = {0};
    HOLDS(decompress(packed->data, where % packed->size, size, &plain) == DECOMPRESS_MALFORMED);
    buffer_free(&plain);
    packed->data[packed->size - 1 - where % 8] ^= 1;
    HOLDS(decompress(packed->data, packed->size, size, &plain) == DECOMPRESS_MALFORMED);
    buffer_free(&plain);
}

static void check_own(const uint8_t *data, size_t size) {
    struct buffer whole = {0}, pieces = {0};
    size_t piece = size > 0 ? data[0] + 1U : 1;
    struct compressor *compressor = compressor_new();
    HOLDS(compress_whole(data, size, &whole) && compressor);
    for (size_t at = 0; at < size; at += piece)
        HOLDS(compressor_write(compressor, data + at, size - at < piece ? size - at : piece, false, &pieces));
    HOLDS(compressor_write(compressor, data, 0, true, &pieces));
    check_reads_back(&whole, data, size);
    check_reads_back(&pieces, data, size);
    check_damage(&whole, size, size > 1 ? data[0] * 256U + data[1] : 0);
    compressor_free(compressor);
    buffer_free(&whole);
    buffer_free(&pieces);
}

static void check_accepted(const uint8_t *data, size_t size) {
    char *header = fuzz_text(data, size);
    bool accepted = compress_accepted(header);
    HOLDS(!accepted || strcasestr(header, "gzip") || strchr(header, '*'));
    free(header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_any(data, size);
    check_own(data, size);
    check_accepted(data, size);
    return 0;
}
