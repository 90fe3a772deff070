/* A growing array of bytes. Once an allocation has failed, all that follows is ignored and `failed` stays set:
 * a caller appends as often as it likes and looks once, at the end. Zero-initialise to start. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data; /* NUL-terminated behind `size` bytes once anything was appended; NULL before */
    size_t size;
    size_t capacity;
    bool failed;
};

void buffer_free(struct buffer *buffer);

/* Makes room for so many more bytes at once. */
void buffer_reserve(struct buffer *buffer, size_t size);
void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_text(struct buffer *buffer, const char *text);
void buffer_char(struct buffer *buffer, char c);
