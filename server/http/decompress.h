/* gzip (RFC 1952) in requests. */
#pragma once

#include "base/buffer.h"

#include <stddef.h>

enum decompress_verdict {
    DECOMPRESSED,
    DECOMPRESS_MALFORMED, /* no gzip, damaged, or cut off */
    DECOMPRESS_TOO_LARGE, /* more than the limit comes out: it stops there */
    DECOMPRESS_NO_MEMORY,
};

/* Appends to `out` what comes out, at most `limit` bytes. Several members in a row are one text. */
enum decompress_verdict decompress(const void *data, size_t size, size_t limit, struct buffer *out);
