#include "http/stream.h"

#include "base/buffer.h"
#include "base/thread.h"
#include "http/compress.h"
#include "http/server_private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STREAM_CAPACITY = 64 * 1024, STREAM_BLOCK = 32 * 1024 };

struct http_stream {
    struct compressor *compressor; /* NULL: plain */
    struct buffer compressed;
    struct http_server *server;
    /* Up to here it is the worker's alone. The lock guards the rest; libmicrohttpd's own may be taken under it. */
    pthread_mutex_t lock;
    pthread_cond_t drained;
    struct MHD_Connection *connection;
    struct buffer pending;
    size_t sent; /* of `pending` */
    int holders;
    bool suspended; /* the reader found nothing and waits */
    bool ended;     /* the worker has let go */
    bool failed;    /* the answer will not be whole */
    bool abandoned; /* the response is gone */
};

struct http_stream *http_stream_new(struct http_server *server, struct MHD_Connection *connection,
                                    bool compressed) {
    struct http_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    pthread_mutex_init(&stream->lock, NULL);
    condition_init(&stream->drained);
    stream->server = server;
    stream->connection = connection;
    stream->holders = 2;
    if (compressed)
        stream->compressor = compressor_new();
    if (compressed && !stream->compressor)
        stream->failed = true;
    return stream;
}

/* Lets go of one hold, with the lock held. */
static void release(struct http_stream *stream) {
    bool last = --stream->holders == 0;
    pthread_mutex_unlock(&stream->lock);
    if (!last)
        return;
    compressor_free(stream->compressor);
    buffer_free(&stream->compressed);
    buffer_free(&stream->pending);
    pthread_cond_destroy(&stream->drained);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

/* ---- the event thread's side */

static void forget_sent(struct http_stream *stream) {
    if (stream->sent < stream->pending.size)
        return;
    stream->pending.size = 0;
    stream->sent = 0;
}

static ssize_t read_some(void *context, uint64_t position, char *out, size_t room) {
    (void)position;
    struct http_stream *stream = context;
    ssize_t result = 0;
    pthread_mutex_lock(&stream->lock);
    size_t waiting = stream->pending.size - stream->sent;
    if (waiting) {
        size_t size = waiting < room ? waiting : room;
        http_loop_progress(&stream->server->loop);
        memcpy(out, stream->pending.data + stream->sent, size);
        stream->sent += size;
        forget_sent(stream);
        pthread_cond_signal(&stream->drained);
        result = (ssize_t)size;
    } else if (stream->failed) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (stream->ended) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
    }
    pthread_mutex_unlock(&stream->lock);
    return result;
}

static void response_gone(void *context) {
    http_stream_abandon(context);
}

void http_stream_abandon(struct http_stream *stream) {
    pthread_mutex_lock(&stream->lock);
    stream->abandoned = true;
    pthread_cond_signal(&stream->drained);
    release(stream);
}

struct MHD_Response *http_stream_response(struct http_stream *stream) {
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_some, stream, response_gone);
    if (!response)
        http_stream_abandon(stream);
    return response;
}

/* ---- the worker's side */

static void wake_reader(struct http_stream *stream) {
    if (!stream->suspended)
        return;
    stream->suspended = false;
    http_server_resume(stream->server, stream->connection);
}

/* With the lock held. Looks up now and then, since nobody signals that the server is closing. */
static bool wait_for_room(struct http_stream *stream) {
    while (stream->pending.size - stream->sent >= STREAM_CAPACITY) {
        if (stream->abandoned || atomic_load(&stream->server->closing))
            return false;
        struct timespec look_up;
        clock_gettime(CLOCK_MONOTONIC, &look_up);
        look_up.tv_sec++;
        pthread_cond_timedwait(&stream->drained, &stream->lock, &look_up);
    }
    return !stream->abandoned;
}

/* What was sent makes room at the front, so that the buffer stays at its bound. */
static void compact(struct http_stream *stream) {
    struct buffer *pending = &stream->pending;
    if (!stream->sent)
        return;
    memmove(pending->data, pending->data + stream->sent, pending->size - stream->sent);
    pending->size -= stream->sent;
    stream->sent = 0;
}

static void append(struct http_stream *stream, const void *data, size_t size) {
    compact(stream);
    buffer_append(&stream->pending, data, size);
    stream->failed = stream->pending.failed;
}

/* Plain bytes, or what the compressor made of them. */
static bool put(struct http_stream *stream, const void *data, size_t size, bool well) {
    pthread_mutex_lock(&stream->lock);
    if (!well || (!stream->failed && !wait_for_room(stream)))
        stream->failed = true;
    if (!stream->failed)
        append(stream, data, size);
    wake_reader(stream);
    well = !stream->failed;
    pthread_mutex_unlock(&stream->lock);
    return well;
}

/* Compresses without the lock: the event thread must not wait for that. */
static bool encode_and_put(struct http_stream *stream, const void *data, size_t size, bool last) {
    if (!stream->compressor)
        return put(stream, data, size, true);
    struct buffer *compressed = &stream->compressed;
    compressed->size = 0;
    bool well = compressor_write(stream->compressor, data, size, last, compressed) && !compressed->failed;
    return put(stream, compressed->data, compressed->size, well);
}

bool http_stream_write(struct http_stream *stream, const void *data, size_t size) {
    const char *rest = data;
    bool well = true;
    while (well && size) {
        size_t piece = size < STREAM_BLOCK ? size : STREAM_BLOCK;
        well = encode_and_put(stream, rest, piece, false);
        rest += piece;
        size -= piece;
    }
    return well;
}

void http_stream_end(struct http_stream *stream, bool complete) {
    if (complete)
        encode_and_put(stream, "", 0, true);
    pthread_mutex_lock(&stream->lock);
    stream->ended = true;
    stream->failed = stream->failed || !complete;
    wake_reader(stream);
    release(stream);
}
