/* What carbond_get_stats tells, counted by whoever does it. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct counters {
    _Atomic uint64_t emitted, refused, found, delivered, duplicates, rejected, dropped, lost;
    _Atomic uint64_t torn_segments, broken_segments, foreign_files, adopted_spools, requests, retries;
};

static inline void count(_Atomic uint64_t *counter, uint64_t more) {
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}
