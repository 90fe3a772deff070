#include "base/buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST_CAPACITY = 64 };

void buffer_free(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer){0};
}

/* Makes room for `size` more bytes and the NUL. */
static bool reserve(struct buffer *buffer, size_t size) {
    if (buffer->failed)
        return false;
    if (buffer->capacity - buffer->size > size)
        return true;
    /* Half of what a size_t can say, so that neither the sum nor the doubling can wrap. */
    if (size > SIZE_MAX / 2 - 1 - buffer->size) {
        buffer->failed = true;
        return false;
    }
    size_t capacity = buffer->capacity ? buffer->capacity : SMALLEST_CAPACITY;
    while (capacity - buffer->size <= size)
        capacity *= 2;
    char *data = realloc(buffer->data, capacity);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void buffer_reserve(struct buffer *buffer, size_t size) {
    reserve(buffer, size);
}

void buffer_append(struct buffer *buffer, const void *data, size_t size) {
    if (!reserve(buffer, size))
        return;
    if (size > 0)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
}

void buffer_text(struct buffer *buffer, const char *text) {
    buffer_append(buffer, text, strlen(text));
}

void buffer_char(struct buffer *buffer, char c) {
    buffer_append(buffer, &c, 1);
}
