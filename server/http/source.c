#include "http/source.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 };

struct source_table {
    unsigned char
        secret[crypto_shorthash_KEYBYTES]; /* so that nobody can choose addresses that fall into one bucket */
    struct source *buckets[BUCKETS];
};

struct source_table *source_table_new(void) {
    struct source_table *table = calloc(1, sizeof *table);
    if (table)
        crypto_shorthash_keygen(table->secret);
    return table;
}

void source_table_free(struct source_table *table) {
    free(table);
}

static struct source **bucket_of(struct source_table *table, const struct http_address *address) {
    uint64_t hash;
    crypto_shorthash((unsigned char *)&hash, address->bytes, sizeof address->bytes, table->secret);
    return &table->buckets[hash % BUCKETS];
}

static bool is_of(const struct source *source, const struct http_address *address) {
    return memcmp(source->address.bytes, address->bytes, sizeof address->bytes) == 0;
}

struct source *source_hold(struct source_table *table, const struct http_address *client) {
    const struct http_address address = http_address_counted(client);
    struct source **bucket = bucket_of(table, &address);
    struct source *source = *bucket;
    while (source && !is_of(source, &address))
        source = source->next;
    if (!source) {
        source = calloc(1, sizeof *source);
        if (!source)
            return NULL;
        source->address = address;
        source->next = *bucket;
        *bucket = source;
    }
    source->connections++;
    return source;
}

void source_release(struct source_table *table, struct source *source) {
    if (--source->connections > 0)
        return;
    struct source **place = bucket_of(table, &source->address);
    while (*place != source)
        place = &(*place)->next;
    *place = source->next;
    free(source);
}
