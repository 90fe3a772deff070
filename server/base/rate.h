/* Rate limits: a bounded table of buckets, one for each key (an address, a token, ...). A bucket holds as many as may come
 * at once and gets one more each interval; who finds it empty waits.
 *
 * Of a bucket only the moment when it will be full again is kept (the generic cell rate algorithm), so one that is full is
 * the same as none. The table never grows: when there is no room for a key, the bucket that is nearest to full makes it. Who
 * is forgotten is forgiven, and strangers who come under ever new keys push out each other, not who is at their limit.
 *
 * From any thread. A table's lock is held for some dozens of instructions; nothing else is locked under it. Times are on
 * the monotonic clock (base/clock.h), in microseconds. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate {
    int64_t interval; /* microseconds until one more may come; 0: there is no limit */
    int64_t burst;    /* as many may come at once */
};

/* Understands "none" and COUNT/s, COUNT/min, COUNT/h with :BURST behind it or not: "300/s:3000". Without a burst it is
 * COUNT. Both are from 1 to 1 000 000. False if the text is none of these. */
bool rate_parse(const char *text, struct rate *rate);

/* How many buckets a table has: a MiB, which it takes from the system as they are used. */
enum { RATE_TABLE_SIZE = 64 * 1024 };

struct rate_table;

/* The rate must be a limit. NULL when out of memory. */
struct rate_table *rate_table_new(const struct rate *rate);
void rate_table_free(struct rate_table *table);

/* Takes one out of the key's bucket: 0. Or takes nothing, and returns the microseconds until there is one. */
int64_t rate_take(struct rate_table *table, const void *key, size_t size, int64_t now);

/* What rate_take would return. */
int64_t rate_wait(struct rate_table *table, const void *key, size_t size, int64_t now);

/* Takes all that may be in the key's bucket: it will be full again when as many intervals have passed as the burst has. */
void rate_empty(struct rate_table *table, const void *key, size_t size, int64_t now);

/* Puts one back that was taken. */
void rate_give_back(struct rate_table *table, const void *key, size_t size);
