#include "http/compress.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

enum {
    GZIP_WINDOW = 15 + 16, /* the largest window; 16 more asks zlib for gzip's header and trailer */
    MEMORY_LEVEL = 8,
    PIECE = 16 * 1024,
};

/* ---- Accept-Encoding (RFC 9110, 12.5.3) */

static const char *skip_spaces(const char *text) {
    return text + strspn(text, " \t");
}

/* Reads the weight behind a coding; 1 if there is none. */
static double weight_of(const char *parameters, size_t size) {
    char text[32];
    if (size >= sizeof text)
        return 0;
    memcpy(text, parameters, size);
    text[size] = '\0';
    const char *q = strchr(text, ';');
    if (!q)
        return 1;
    q = skip_spaces(q + 1);
    return strncasecmp(q, "q=", 2) == 0 ? strtod(q + 2, NULL) : 1;
}

static bool names(const char *entry, const char *coding) {
    size_t length = strlen(coding);
    return strncasecmp(entry, coding, length) == 0 && (!entry[length] || strchr("; \t,", entry[length]));
}

bool compress_accepted(const char *accept_encoding) {
    double named = -1, any = -1;
    const char *entry = accept_encoding;
    while (entry && *entry) {
        entry = skip_spaces(entry);
        size_t size = strcspn(entry, ",");
        if (names(entry, "gzip") || names(entry, "x-gzip"))
            named = weight_of(entry, size);
        else if (names(entry, "*"))
            any = weight_of(entry, size);
        entry += size;
        entry += *entry == ',';
    }
    return named >= 0 ? named > 0 : any > 0;
}

/* ---- gzip */

struct compressor {
    z_stream zlib;
};

struct compressor *compressor_new(void) {
    struct compressor *compressor = calloc(1, sizeof *compressor);
    if (!compressor)
        return NULL;
    if (deflateInit2(&compressor->zlib, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) == Z_OK)
        return compressor;
    free(compressor);
    return NULL;
}

void compressor_free(struct compressor *compressor) {
    if (!compressor)
        return;
    deflateEnd(&compressor->zlib);
    free(compressor);
}

bool compressor_write(struct compressor *compressor, const void *data, size_t size, bool last,
                      struct buffer *out) {
    unsigned char piece[PIECE];
    z_stream *zlib = &compressor->zlib;
    zlib->next_in = (unsigned char *)(uintptr_t)data;
    zlib->avail_in = (unsigned)size;
    do {
        zlib->next_out = piece;
        zlib->avail_out = sizeof piece;
        if (deflate(zlib, last ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR)
            return false;
        buffer_append(out, piece, sizeof piece - zlib->avail_out);
    } while (zlib->avail_out == 0);
    return !out->failed;
}

bool compress_whole(const void *data, size_t size, struct buffer *out) {
    struct compressor *compressor = compressor_new();
    bool well = compressor && compressor_write(compressor, data, size, true, out);
    compressor_free(compressor);
    return well;
}
