#include "base/buffer.h"

#include <stdint.h>
#include <stdio.h>
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

/* What the arguments take when printed, without the NUL; -1 if they cannot be. */
__attribute__((format(printf, 1, 0))) static int measure(const char *format, va_list arguments) {
    va_list copy;
    va_copy(copy, arguments);
    int size = vsnprintf(NULL, 0, format, copy);
    va_end(copy);
    return size;
}

void buffer_format(struct buffer *buffer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int size = measure(format, arguments);
    if (size < 0) {
        buffer->failed = true;
    } else if (reserve(buffer, (size_t)size)) {
        vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, arguments);
        buffer->size += (size_t)size;
    }
    va_end(arguments);
}

char *buffer_take(struct buffer *buffer, size_t *size) {
    buffer_append(buffer, "", 0); /* so that an empty buffer gives an empty text: NULL always means failed */
    if (buffer->failed)
        buffer_free(buffer);
    char *data = buffer->data;
    *size = buffer->size;
    *buffer = (struct buffer){0};
    return data;
}
