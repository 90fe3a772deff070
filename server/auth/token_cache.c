#include "auth/token_cache.h"

#include "base/clock.h"
#include "db/array.h"
#include "statements.h"

#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 2 * TOKEN_CACHE_SIZE, /* a power of two; at most half of them are taken */
    LIFE = 1000 * 1000,           /* microseconds that an answer counts */
    DUE = LIFE / 2,               /* from here on it is refreshed along with others */
};

struct entry {
    struct secret_digest token;
    struct token_holder holder;
    int64_t asked; /* when the query for it began, on the monotonic clock; 0: never */
    bool taken;
    bool in_use; /* since the last refresh */
};

struct token_cache {
    struct entry *slots;
    struct entry *spare; /* as many, for when the stale ones are left behind */
    size_t count;
    struct buffer asked; /* the parameter of the query, kept for its memory */
    struct entry *asked_for[TOKEN_CACHE_SIZE];
};

struct token_cache *token_cache_new(void) {
    struct token_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    cache->slots = calloc(SLOTS, sizeof *cache->slots);
    cache->spare = calloc(SLOTS, sizeof *cache->spare);
    if (cache->slots && cache->spare)
        return cache;
    token_cache_free(cache);
    return NULL;
}

void token_cache_free(struct token_cache *cache) {
    if (!cache)
        return;
    buffer_free(&cache->asked);
    free(cache->slots);
    free(cache->spare);
    free(cache);
}

/* The token's slot, or the free one where it belongs. A digest is as good as random: its own bits choose. */
static struct entry *slot_of(struct entry *slots, const struct secret_digest *token) {
    size_t at;
    memcpy(&at, token->bytes, sizeof at);
    for (at %= SLOTS; slots[at].taken; at = (at + 1) % SLOTS)
        if (memcmp(&slots[at].token, token, sizeof *token) == 0)
            break;
    return &slots[at];
}

static bool is_fresh(const struct entry *entry, int64_t now) {
    return entry->asked && now - entry->asked < LIFE;
}

/* Keeps what is fresh, as far as there is room. */
void token_cache_begin(struct token_cache *cache, size_t tokens) {
    if (cache->count + tokens <= TOKEN_CACHE_SIZE)
        return;
    int64_t now = clock_monotonic();
    struct entry *old = cache->slots;
    cache->slots = cache->spare;
    cache->spare = old;
    memset(cache->slots, 0, SLOTS * sizeof *cache->slots);
    cache->count = 0;
    for (size_t i = 0; i < SLOTS && cache->count + tokens < TOKEN_CACHE_SIZE; i++) {
        if (!old[i].taken || !is_fresh(&old[i], now))
            continue;
        *slot_of(cache->slots, &old[i].token) = old[i];
        cache->count++;
    }
}

size_t token_cache_count(const struct token_cache *cache) {
    return cache->count;
}

bool token_cache_use(struct token_cache *cache, const struct secret_digest *token) {
    struct entry *entry = slot_of(cache->slots, token);
    if (!entry->taken) {
        *entry = (struct entry){.token = *token, .taken = true};
        cache->count++;
    }
    entry->in_use = true;
    return is_fresh(entry, clock_monotonic());
}

/* ---- asking the database */

static size_t collect_due(struct token_cache *cache, int64_t now) {
    size_t count = 0;
    for (size_t i = 0; i < SLOTS && count < TOKEN_CACHE_SIZE; i++) {
        struct entry *entry = &cache->slots[i];
        bool due = entry->taken && entry->in_use && (!entry->asked || now - entry->asked >= DUE);
        if (due)
            cache->asked_for[count++] = entry;
    }
    return count;
}

static bool has_id(const char *text, struct id *id) {
    return text && id_parse(text, id);
}

/* A token that may only read writes for nobody: it is known all the same. */
static bool take_holder(void *context, const struct db_row *row) {
    struct token_cache *cache = context;
    struct entry *entry = cache->asked_for[strtoul(row->columns[0], NULL, 10) - 1];
    struct token_holder *holder = &entry->holder;
    long access = row->columns[2] ? strtol(row->columns[2], NULL, 10) : 0;
    holder->known = true;
    holder->has_project = (access & ACCESS_WRITE) && has_id(row->columns[1], &holder->project);
    holder->has_user = has_id(row->columns[3], &holder->user);
    return true;
}

enum db_outcome token_cache_refresh(struct token_cache *cache, struct db *db, size_t *asked) {
    /* An answer is as old as its question. */
    int64_t now = clock_monotonic();
    size_t count = collect_due(cache, now);
    *asked = count;
    db_array_begin(&cache->asked, DB_BYTES, count);
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = cache->asked_for[i];
        db_array_bytes(&cache->asked, entry->token.bytes, sizeof entry->token.bytes);
        entry->holder = (struct token_holder){0};
        entry->asked = 0;
    }
    if (cache->asked.failed) {
        buffer_free(&cache->asked);
        return DB_FAILED;
    }
    const struct db_value values[] = {db_array_value(&cache->asked)};
    enum db_outcome outcome = db_query_values(db, &sql_caller_by_tokens, values, take_holder, cache);
    for (size_t i = 0; outcome == DB_OK && i < count; i++) {
        cache->asked_for[i]->asked = now;
        cache->asked_for[i]->in_use = false;
    }
    return outcome;
}

const struct token_holder *token_cache_holder(const struct token_cache *cache,
                                              const struct secret_digest *token) {
    return &slot_of(cache->slots, token)->holder;
}
