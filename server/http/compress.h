/* gzip (RFC 1952) for answers, through zlib at its fastest level: the answers are JSON, which shrinks tenfold even so. */
#pragma once

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether an Accept-Encoding header (NULL: none) admits gzip: `gzip` or `x-gzip` or `*`, with a q above 0. */
bool compress_accepted(const char *accept_encoding);

struct compressor;

/* NULL when out of memory. */
struct compressor *compressor_new(void);
void compressor_free(struct compressor *compressor);

/* Appends to `out` what the compressor gives for these bytes; with `last`, all the rest and the trailer. Between
 * calls the compressor may hold bytes back. False when out of memory. */
bool compressor_write(struct compressor *compressor, const void *data, size_t size, bool last,
                      struct buffer *out);

/* All at once. */
bool compress_whole(const void *data, size_t size, struct buffer *out);
