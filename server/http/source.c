#include "http/source.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    BUCKETS = 1024,
    NETWORK = 8 /* bytes of an IPv6 address */,
    MAPPED = 12 /* bytes before an IPv4 one */
};

struct source_table {
    uint64_t seed; /* so that nobody can choose addresses that fall into one bucket */
    struct source *buckets[BUCKETS];
};

struct source_table *source_table_new(void) {
    struct source_table *table = calloc(1, sizeof *table);
    if (table && getrandom(&table->seed, sizeof table->seed, GRND_NONBLOCK) < 0)
        table->seed = (uintptr_t)table;
    return table;
}

void source_table_free(struct source_table *table) {
    free(table);
}

static void write_key(uint8_t key[SOURCE_KEY], const struct sockaddr *socket_address) {
    memset(key, 0, SOURCE_KEY);
    key[0] = AF_INET;
    if (socket_address->sa_family == AF_INET) {
        memcpy(key + 1, &((const struct sockaddr_in *)socket_address)->sin_addr, 4);
        return;
    }
    const struct in6_addr *address = &((const struct sockaddr_in6 *)socket_address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        memcpy(key + 1, address->s6_addr + MAPPED, 4);
        return;
    }
    key[0] = AF_INET6;
    memcpy(key + 1, address->s6_addr, NETWORK);
}

/* FNV-1a, from a start that nobody knows. */
static struct source **bucket_of(struct source_table *table, const uint8_t key[SOURCE_KEY]) {
    uint64_t hash = 0xcbf29ce484222325U ^ table->seed;
    for (size_t i = 0; i < SOURCE_KEY; i++)
        hash = (hash ^ key[i]) * 0x100000001b3U;
    return &table->buckets[(hash ^ hash >> 32) % BUCKETS];
}

struct source *source_hold(struct source_table *table, const struct sockaddr *socket_address) {
    uint8_t key[SOURCE_KEY];
    write_key(key, socket_address);
    struct source **bucket = bucket_of(table, key);
    struct source *source = *bucket;
    while (source && memcmp(source->key, key, sizeof key) != 0)
        source = source->next;
    if (!source) {
        source = calloc(1, sizeof *source);
        if (!source)
            return NULL;
        memcpy(source->key, key, sizeof key);
        source->next = *bucket;
        *bucket = source;
    }
    source->connections++;
    return source;
}

void source_release(struct source_table *table, struct source *source) {
    if (--source->connections > 0)
        return;
    struct source **place = bucket_of(table, source->key);
    while (*place != source)
        place = &(*place)->next;
    *place = source->next;
    free(source);
}
