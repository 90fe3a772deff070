#include "record.h"

#include "bytes.h"
#include "clock.h"

#include <math.h>
#include <string.h>

_Static_assert(sizeof(double) == 8, "an IEEE 754 double");

size_t record_size(const struct record *record) {
    return record->type == RECORD_RUN ? RECORD_RUN_HEAD + record->json_length : RECORD_EMISSION_SIZE;
}

static unsigned char *put_id(unsigned char *at, const struct id *id) {
    memcpy(at, id->bytes, sizeof id->bytes);
    return at + sizeof id->bytes;
}

static const unsigned char *get_id(const unsigned char *at, struct id *id) {
    memcpy(id->bytes, at, sizeof id->bytes);
    return at + sizeof id->bytes;
}

static void encode_emission(const struct emission *emission, unsigned char *at) {
    at = put_id(at, &emission->id);
    put_u64(at, (uint64_t)emission->timestamp);
    for (size_t i = 0; i < EMISSION_NUMBERS; i++) {
        uint64_t bits;
        memcpy(&bits, &emission->numbers[i], sizeof bits);
        put_u64(at + 8 + 8 * i, bits);
    }
}

void record_encode(const struct record *record, unsigned char *bytes) {
    *bytes = (unsigned char)record->type;
    unsigned char *at = put_id(bytes + 1, &record->run);
    switch (record->type) {
    case RECORD_RUN:
        put_u64(at, record->dropped);
        memcpy(at + 8, record->json, record->json_length);
        return;
    case RECORD_EMISSION: encode_emission(&record->emission, at); return;
    }
}

/* The checksum speaks for the bytes; this is for bytes that somebody made on purpose. */
static bool decode_emission(const unsigned char *at, struct record *record) {
    struct emission *emission = &record->emission;
    emission->run = record->run;
    emission->has_id = true;
    at = get_id(at, &emission->id);
    emission->timestamp = (int64_t)get_u64(at);
    for (size_t i = 0; i < EMISSION_NUMBERS; i++) {
        uint64_t bits = get_u64(at + 8 + 8 * i);
        memcpy(&emission->numbers[i], &bits, sizeof bits);
        if (isinf(emission->numbers[i]))
            return false; /* JSON has no word for it */
    }
    return clock_is_writable(emission->timestamp);
}

bool record_decode(const unsigned char *bytes, size_t length, struct record *record) {
    if (length < RECORD_LEAST || length > RECORD_MOST)
        return false;
    *record = (struct record){.type = bytes[0]};
    const unsigned char *at = get_id(bytes + 1, &record->run);
    switch (record->type) {
    case RECORD_RUN:
        if (length <= RECORD_RUN_HEAD)
            return false;
        record->dropped = get_u64(at);
        record->json = (const char *)at + 8;
        record->json_length = length - RECORD_RUN_HEAD;
        return record->json[0] == '{';
    case RECORD_EMISSION: return length == RECORD_EMISSION_SIZE && decode_emission(at, record);
    }
    return false;
}
