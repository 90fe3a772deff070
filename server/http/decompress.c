#include "http/decompress.h"

#include <stdint.h>
#include <string.h>
#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16 /* the largest; 16 more asks zlib for gzip's header */, PIECE = 16 * 1024 };

/* Inflates into `out` until the member or the input ends. */
static int inflate_some(z_stream *zlib, size_t limit, struct buffer *out) {
    unsigned char piece[PIECE];
    int status = Z_OK;
    while (status == Z_OK && out->size <= limit && !out->failed) {
        zlib->next_out = piece;
        zlib->avail_out = sizeof piece;
        status = inflate(zlib, Z_NO_FLUSH);
        if (status == Z_OK || status == Z_STREAM_END)
            buffer_append(out, piece, sizeof piece - zlib->avail_out);
    }
    return status;
}

static enum decompress_verdict inflate_members(z_stream *zlib, size_t limit, struct buffer *out) {
    do {
        int status = inflate_some(zlib, limit, out);
        if (out->failed || status == Z_MEM_ERROR)
            return DECOMPRESS_NO_MEMORY;
        if (out->size > limit)
            return DECOMPRESS_TOO_LARGE;
        if (status != Z_STREAM_END) /* Z_BUF_ERROR: the input ended before */
            return DECOMPRESS_MALFORMED;
        inflateReset(zlib);
    } while (zlib->avail_in);
    return DECOMPRESSED;
}

enum decompress_verdict decompress(const void *data, size_t size, size_t limit, struct buffer *out) {
    z_stream zlib = {.next_in = (unsigned char *)(uintptr_t)data, .avail_in = (unsigned)size};
    if (inflateInit2(&zlib, GZIP_WINDOW) != Z_OK)
        return DECOMPRESS_NO_MEMORY;
    enum decompress_verdict verdict = inflate_members(&zlib, limit, out);
    inflateEnd(&zlib);
    return verdict;
}
