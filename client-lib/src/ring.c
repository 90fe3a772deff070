#include "ring.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

enum { CACHE_LINE = 64 };

/* Each slot says whose turn it is (D. Vyukov's bounded queue): `turn` is the position at which it may be put next, and
 * that plus one when it may be taken. */
struct slot {
    _Atomic uint64_t turn;
    struct ring_entry entry;
};

struct ring {
    size_t mask; /* capacity - 1 */
    struct slot *slots;
    /* The putters' and the taker's positions, on lines of their own. */
    _Alignas(CACHE_LINE) _Atomic uint64_t put;
    _Alignas(CACHE_LINE) _Atomic uint64_t taken;
};

struct ring *ring_new(size_t capacity) {
    size_t size = 1;
    while (size < capacity)
        size *= 2;
    struct ring *ring = aligned_alloc(CACHE_LINE, sizeof *ring);
    struct slot *slots = calloc(size, sizeof *slots);
    if (!ring || !slots) {
        free(ring);
        free(slots);
        return NULL;
    }
    ring->mask = size - 1;
    ring->slots = slots;
    ring_clear(ring);
    return ring;
}

void ring_free(struct ring *ring) {
    if (!ring)
        return;
    free(ring->slots);
    free(ring);
}

void ring_clear(struct ring *ring) {
    atomic_init(&ring->put, 0);
    atomic_init(&ring->taken, 0);
    for (size_t i = 0; i <= ring->mask; i++)
        atomic_init(&ring->slots[i].turn, i);
}

size_t ring_capacity(const struct ring *ring) {
    return ring->mask + 1;
}

size_t ring_length(struct ring *ring) {
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    uint64_t put = atomic_load_explicit(&ring->put, memory_order_relaxed);
    return put > taken ? (size_t)(put - taken) : 0;
}

bool ring_put(struct ring *ring, const struct ring_entry *entry) {
    uint64_t position = atomic_load_explicit(&ring->put, memory_order_relaxed);
    for (;;) {
        struct slot *slot = &ring->slots[position & ring->mask];
        uint64_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
        if (turn == position) {
            if (!atomic_compare_exchange_weak_explicit(&ring->put, &position, position + 1,
                                                       memory_order_relaxed, memory_order_relaxed))
                continue; /* another thread got it; `position` is the present one now */
            slot->entry = *entry;
            atomic_store_explicit(&slot->turn, position + 1, memory_order_release);
            return true;
        }
        if (turn < position)
            return false; /* not taken yet since the last round */
        position = atomic_load_explicit(&ring->put, memory_order_relaxed);
    }
}

uint64_t ring_position(struct ring *ring) {
    return atomic_load_explicit(&ring->put, memory_order_acquire);
}

uint64_t ring_taken(struct ring *ring) {
    return atomic_load_explicit(&ring->taken, memory_order_relaxed);
}

struct ring_entry *ring_peek(struct ring *ring, size_t ahead) {
    uint64_t position = ring_taken(ring) + ahead;
    struct slot *slot = &ring->slots[position & ring->mask];
    bool ready = atomic_load_explicit(&slot->turn, memory_order_acquire) == position + 1;
    return ready ? &slot->entry : NULL;
}

void ring_drop(struct ring *ring, size_t count) {
    uint64_t position = ring_taken(ring);
    for (size_t i = 0; i < count; i++, position++)
        atomic_store_explicit(&ring->slots[position & ring->mask].turn, position + ring->mask + 1,
                              memory_order_release);
    atomic_store_explicit(&ring->taken, position, memory_order_relaxed);
}
