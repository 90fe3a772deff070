#include "db/array.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

enum { DIMENSIONS = 1, NO_FLAGS = 0, LOWER_BOUND = 1 };

/* PostgreSQL counts from 2000-01-01. */
static const int64_t POSTGRES_EPOCH = INT64_C(946684800000000);

static void put_word(struct buffer *array, uint32_t value) {
    uint32_t word = htonl(value);
    buffer_append(array, &word, sizeof word);
}

void db_array_begin(struct buffer *array, enum db_type type, size_t count) {
    const uint32_t head[] = {htonl(count ? DIMENSIONS : 0), NO_FLAGS, htonl((uint32_t)type)};
    array->size = 0;
    buffer_append(array, head, sizeof head);
    if (!count)
        return;
    put_word(array, (uint32_t)count);
    put_word(array, LOWER_BOUND);
    buffer_reserve(array, count * (sizeof(uint32_t) + sizeof(struct id)));
}

void db_array_null(struct buffer *array) {
    put_word(array, UINT32_MAX);
}

void db_array_bytes(struct buffer *array, const void *data, size_t size) {
    put_word(array, (uint32_t)size);
    buffer_append(array, data, size);
}

/* The size and the value in one piece: there are twenty of them in each emission. */
static void put_small(struct buffer *array, const void *data, size_t size) {
    unsigned char element[sizeof(uint32_t) + sizeof(struct id)];
    uint32_t word = htonl((uint32_t)size);
    memcpy(element, &word, sizeof word);
    memcpy(element + sizeof word, data, size);
    buffer_append(array, element, sizeof word + size);
}

void db_array_boolean(struct buffer *array, bool value) {
    put_small(array, &(unsigned char){value}, 1);
}

void db_array_integer(struct buffer *array, int32_t value) {
    put_small(array, &(uint32_t){htonl((uint32_t)value)}, sizeof(uint32_t));
}

static void put_long(struct buffer *array, uint64_t value) {
    put_small(array, &(uint64_t){htobe64(value)}, sizeof value);
}

void db_array_double(struct buffer *array, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_long(array, bits);
}

void db_array_timestamp(struct buffer *array, int64_t value) {
    put_long(array, (uint64_t)(value - POSTGRES_EPOCH));
}

void db_array_id(struct buffer *array, const struct id *value) {
    put_small(array, value->bytes, sizeof value->bytes);
}

struct db_value db_array_value(const struct buffer *array) {
    return (struct db_value){.data = array->data, .size = (int)array->size, .binary = true};
}
