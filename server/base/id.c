#include "base/id.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uuid/uuid.h>

_Static_assert(sizeof(struct id) == sizeof(uuid_t), "an id is a UUID");
_Static_assert(ID_TEXT_SIZE == UUID_STR_LEN, "and its text is a UUID's");

/* The milliseconds and the counter of the last version 7, as one number: 48 bits and 12 bits. */
static _Atomic uint64_t last_v7;

bool id_parse(const char *text, struct id *id) {
    return uuid_parse(text, id->bytes) == 0;
}

void id_format(const struct id *id, char text[ID_TEXT_SIZE]) {
    uuid_unparse_lower(id->bytes, text);
}

struct id id_new_v4(void) {
    struct id id;
    uuid_generate_random(id.bytes);
    return id;
}

/* RFC 9562, section 6.2, method 1: a counter that starts anew at a random value in each millisecond, with its
 * highest bit 0 to leave it room. When it overflows all the same, or when the clock steps back, the milliseconds run
 * ahead of the clock: adding 1 to the number does both. */
static uint64_t next_v7(uint64_t random) {
    int64_t now = clock_now();
    uint64_t fresh = (uint64_t)(now > 0 ? now / 1000 : 0) << 12 | (random & 0x7ff);
    uint64_t last = atomic_load(&last_v7);
    uint64_t next;
    do
        next = fresh > last ? fresh : last + 1;
    while (!atomic_compare_exchange_weak(&last_v7, &last, next));
    return next;
}

/* Sixteen random bytes. The kernel is asked for many at once: an id is made for each emission. */
static void draw(struct id *id) {
    static _Thread_local unsigned char pool[64][sizeof id->bytes];
    static _Thread_local size_t left;
    if (left == 0) {
        /* Up to 256 bytes come whole or, before the system has any, not at all (getrandom(2)). */
        for (size_t i = 0; i < sizeof pool / sizeof pool[0]; i += 16)
            if (getrandom(pool[i], 256, 0) != 256)
                abort();
        left = sizeof pool / sizeof pool[0];
    }
    memcpy(id->bytes, pool[--left], sizeof id->bytes);
}

struct id id_new_v7(void) {
    struct id id;
    draw(&id);
    id.bytes[8] = (id.bytes[8] & 0x3f) | 0x80; /* the variant; what follows stays random */
    uint64_t next = next_v7((uint64_t)id.bytes[0] << 8 | id.bytes[1]);
    uint64_t half = next >> 12 << 16 | 0x7000 | (next & 0xfff);
    for (int i = 0; i < 8; i++)
        id.bytes[i] = (unsigned char)(half >> (56 - 8 * i));
    return id;
}
