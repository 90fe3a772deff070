/* Whom the tokens of recent requests stand for, so that a stream of emissions costs no query of its own. What it says is
 * at most a second old: a token that was revoked, or a project that was deleted, through whichever server is refused by
 * all within that time. All that are due are asked for in one query.
 *
 * Used by one thread at a time; refreshing blocks on the database. */
#pragma once

#include "auth/caller.h"
#include "auth/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many tokens may be in use between two calls of token_cache_begin. */
enum { TOKEN_CACHE_SIZE = 4096 };

/* On whose behalf something is written: bytes that can be compared with memcmp. */
struct token_holder {
    struct id user;
    struct id project;
    bool has_user;
    bool has_project; /* a project token that may write */
    bool everywhere;  /* authentication is switched off */
    bool known;       /* somebody holds the token; false: nobody does */
};

struct token_cache;

/* NULL when out of memory. */
struct token_cache *token_cache_new(void);
void token_cache_free(struct token_cache *cache);

/* Makes room for so many tokens, at most TOKEN_CACHE_SIZE. */
void token_cache_begin(struct token_cache *cache, size_t tokens);

/* Tokens that it holds, fresh or not. */
size_t token_cache_count(const struct token_cache *cache);

/* Notes that a token is in use. True if it is known well enough for now. */
bool token_cache_use(struct token_cache *cache, const struct secret_digest *token);

/* Asks for all tokens in use that are old or soon will be; *asked is how many. */
enum db_outcome token_cache_refresh(struct token_cache *cache, struct db *db, size_t *asked);

/* Whom a token stands for that was in use before the refresh. */
const struct token_holder *token_cache_holder(const struct token_cache *cache,
                                              const struct secret_digest *token);
