#include "batch.h"

#include <stdlib.h>
#include <string.h>

enum { GZIP = 15 + 16, FIRST_SIZE = 16 * 1024, MEMORY_LEVEL = 8 };

bool batch_init(struct batch *batch, size_t capacity) {
    *batch = (struct batch){.capacity = capacity, .size = FIRST_SIZE};
    batch->entries = calloc(capacity, sizeof *batch->entries);
    batch->body = malloc(FIRST_SIZE);
    /* The fastest level: the network between a tracker and its server is seldom the narrowest place. */
    bool deflates = deflateInit2(&batch->stream, Z_BEST_SPEED, Z_DEFLATED, GZIP, MEMORY_LEVEL,
                                 Z_DEFAULT_STRATEGY) == Z_OK;
    if (batch->entries && batch->body && deflates)
        return true;
    if (deflates)
        deflateEnd(&batch->stream);
    free(batch->entries);
    free(batch->body);
    *batch = (struct batch){0};
    return false;
}

void batch_destroy(struct batch *batch) {
    if (!batch->body)
        return;
    deflateEnd(&batch->stream);
    free(batch->entries);
    free(batch->body);
}

void batch_begin(struct batch *batch, bool is_gzip) {
    batch->count = batch->length = batch->plain = 0;
    batch->is_gzip = is_gzip;
    if (is_gzip)
        deflateReset(&batch->stream);
}

static bool make_room(struct batch *batch, size_t more) {
    if (batch->size - batch->length >= more)
        return true;
    size_t size = batch->size * 2 + more;
    unsigned char *body = realloc(batch->body, size);
    if (!body)
        return false;
    batch->body = body;
    batch->size = size;
    return true;
}

/* The room is there before anything goes into the stream: a line is in it whole or not at all. */
static bool add_gzip(struct batch *batch, const char *text, size_t length, int flush) {
    if (!make_room(batch, deflateBound(&batch->stream, length) + FIRST_SIZE))
        return false;
    z_stream *stream = &batch->stream;
    stream->next_in = (const unsigned char *)text;
    stream->avail_in = (uInt)length;
    for (;;) {
        stream->next_out = batch->body + batch->length;
        stream->avail_out = (uInt)(batch->size - batch->length);
        int result = deflate(stream, flush);
        batch->length = batch->size - stream->avail_out;
        if (result == Z_STREAM_END || (flush == Z_NO_FLUSH && stream->avail_in == 0 && stream->avail_out > 0))
            return true;
        if (result != Z_OK || !make_room(batch, FIRST_SIZE))
            return false;
    }
}

static bool add_text(struct batch *batch, const char *text, size_t length) {
    if (batch->is_gzip)
        return add_gzip(batch, text, length, Z_NO_FLUSH);
    if (!make_room(batch, length))
        return false;
    memcpy(batch->body + batch->length, text, length);
    batch->length += length;
    return true;
}

bool batch_add(struct batch *batch, const struct batch_entry *entry, const struct emission *emission,
               const struct id *run) {
    char text[EMISSION_JSON_SIZE];
    size_t length = emission_print(emission, run, text);
    text[length++] = '\n';
    if (!add_text(batch, text, length))
        return false;
    batch->plain += length;
    batch->entries[batch->count++] = *entry;
    return true;
}

bool batch_end(struct batch *batch) {
    return !batch->is_gzip || add_gzip(batch, "", 0, Z_FINISH);
}
