#include "id.h"

#include "clock.h"

#include <string.h>
#include <sys/random.h>
#include <uuid/uuid.h>

_Static_assert(sizeof(struct id) == sizeof(uuid_t), "an id is a UUID");
_Static_assert(ID_TEXT_SIZE == UUID_STR_LEN, "and its text is a UUID's");

bool id_parse(const char *text, struct id *id) {
    return uuid_parse(text, id->bytes) == 0;
}

void id_format(const struct id *id, char text[ID_TEXT_SIZE]) {
    uuid_unparse_lower(id->bytes, text);
}

bool id_equal(const struct id *a, const struct id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* RFC 9562, section 6.2, method 1: a counter of 12 bits that begins anew with each millisecond, at a random value with its
 * highest bit 0. When it overflows, or the clock steps back, the milliseconds run ahead of the clock. */
static uint64_t next_moment(struct id_maker *maker, uint64_t random) {
    int64_t now = clock_wall();
    uint64_t fresh = (uint64_t)(now > 0 ? now / 1000 : 0) << 12 | (random & 0x7ff);
    maker->last = fresh > maker->last ? fresh : maker->last + 1;
    return maker->last;
}

static void draw(struct id_maker *maker, struct id *id) {
    if (maker->left == 0) {
        /* Up to 256 bytes come whole (getrandom(2)). Where the kernel has none, libuuid knows other sources. */
        if (getrandom(maker->pool, sizeof maker->pool, GRND_NONBLOCK) != sizeof maker->pool)
            for (size_t i = 0; i < ID_POOL; i++)
                uuid_generate_random(maker->pool[i]);
        maker->left = ID_POOL;
    }
    memcpy(id->bytes, maker->pool[--maker->left], sizeof id->bytes);
}

struct id id_new(struct id_maker *maker) {
    struct id id;
    draw(maker, &id);
    uint64_t moment = next_moment(maker, (uint64_t)id.bytes[0] << 8 | id.bytes[1]);
    uint64_t half = moment >> 12 << 16 | 0x7000 | (moment & 0xfff);
    for (int i = 0; i < 8; i++)
        id.bytes[i] = (unsigned char)(half >> (56 - 8 * i));
    id.bytes[8] = (id.bytes[8] & 0x3f) | 0x80; /* the variant; what follows stays random */
    return id;
}
