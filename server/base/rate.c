#include "base/rate.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* A key may be in one set alone: two cache lines to look through, and nothing to clean up. */
enum { WAYS = 8, SETS = RATE_TABLE_SIZE / WAYS, COUNT_MAXIMUM = 1000 * 1000 };

struct bucket {
    uint64_t key; /* its hash */
    int64_t full; /* when it will be; from then on it is as good as free */
};

struct rate_table {
    struct rate rate;
    pthread_mutex_t lock; /* guards the buckets */
    /* The hash is keyed, so that nobody can choose keys that fall into one set, or on somebody else's bucket. */
    unsigned char secret[crypto_shorthash_KEYBYTES];
    struct bucket sets[SETS][WAYS];
};

static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "a hash is the key of a bucket");

/* ---- as a text */

static bool read_count(const char **text, int64_t *count) {
    char *end;
    size_t digits = strspn(*text, "0123456789");
    if (digits == 0 || digits > 7)
        return false;
    *count = strtol(*text, &end, 10);
    *text = end;
    return *count >= 1 && *count <= COUNT_MAXIMUM;
}

static bool read_unit(const char **text, int64_t *microseconds) {
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = {{"/s", 1}, {"/min", 60}, {"/h", 3600}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t length = strlen(units[i].name);
        if (strncmp(*text, units[i].name, length) != 0)
            continue;
        *text += length;
        *microseconds = units[i].seconds * 1000000;
        return true;
    }
    return false;
}

bool rate_parse(const char *text, struct rate *rate) {
    int64_t count, unit, burst;
    *rate = (struct rate){0};
    if (strcmp(text, "none") == 0)
        return true;
    if (!read_count(&text, &count) || !read_unit(&text, &unit))
        return false;
    burst = count;
    if (*text == ':' && (text++, !read_count(&text, &burst)))
        return false;
    *rate = (struct rate){.interval = unit / count, .burst = burst};
    return *text == '\0';
}

/* ---- the table */

struct rate_table *rate_table_new(const struct rate *rate) {
    struct rate_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    table->rate = *rate;
    pthread_mutex_init(&table->lock, NULL);
    crypto_shorthash_keygen(table->secret);
    return table;
}

void rate_table_free(struct rate_table *table) {
    if (!table)
        return;
    pthread_mutex_destroy(&table->lock);
    free(table);
}

static uint64_t hash_of(const struct rate_table *table, const void *key, size_t size) {
    uint64_t hash;
    crypto_shorthash((unsigned char *)&hash, key, size, table->secret);
    return hash;
}

/* The key's bucket, or the one whose place it would take. */
static struct bucket *bucket_of(struct rate_table *table, uint64_t key) {
    struct bucket *set = table->sets[key % SETS], *fullest = set;
    for (struct bucket *bucket = set; bucket < set + WAYS; bucket++) {
        if (bucket->key == key)
            return bucket;
        if (bucket->full < fullest->full)
            fullest = bucket;
    }
    return fullest;
}

/* When the bucket will be full again, once one more is taken out of it. */
static int64_t full_after(const struct rate_table *table, const struct bucket *bucket, uint64_t key,
                          int64_t now) {
    bool full = bucket->key != key || bucket->full < now;
    return (full ? now : bucket->full) + table->rate.interval;
}

static int64_t wait_for(const struct rate_table *table, int64_t full, int64_t now) {
    int64_t wait = full - now - table->rate.interval * table->rate.burst;
    return wait > 0 ? wait : 0;
}

int64_t rate_take(struct rate_table *table, const void *key, size_t size, int64_t now) {
    uint64_t hash = hash_of(table, key, size);
    pthread_mutex_lock(&table->lock);
    struct bucket *bucket = bucket_of(table, hash);
    int64_t full = full_after(table, bucket, hash, now);
    int64_t wait = wait_for(table, full, now);
    if (wait == 0)
        *bucket = (struct bucket){hash, full};
    pthread_mutex_unlock(&table->lock);
    return wait;
}

int64_t rate_wait(struct rate_table *table, const void *key, size_t size, int64_t now) {
    uint64_t hash = hash_of(table, key, size);
    pthread_mutex_lock(&table->lock);
    int64_t full = full_after(table, bucket_of(table, hash), hash, now);
    pthread_mutex_unlock(&table->lock);
    return wait_for(table, full, now);
}

void rate_empty(struct rate_table *table, const void *key, size_t size, int64_t now) {
    uint64_t hash = hash_of(table, key, size);
    pthread_mutex_lock(&table->lock);
    *bucket_of(table, hash) = (struct bucket){hash, now + table->rate.interval * table->rate.burst};
    pthread_mutex_unlock(&table->lock);
}

void rate_give_back(struct rate_table *table, const void *key, size_t size) {
    uint64_t hash = hash_of(table, key, size);
    pthread_mutex_lock(&table->lock);
    struct bucket *bucket = bucket_of(table, hash);
    if (bucket->key == hash)
        bucket->full -= table->rate.interval;
    pthread_mutex_unlock(&table->lock);
}
