/* What the cache of tokens does by itself, and while the database is away. What it says of tokens that somebody holds is
 * tested over HTTP (tests/api/test_token_cache.py). */
#include "unit.h"

#include "auth/token_cache.h"

static const struct db_settings nowhere = {.url = "host=/nonexistent connect_timeout=2",
                                           .prepared_statements = true};

static struct secret_digest token(size_t number) {
    char text[32];
    snprintf(text, sizeof text, "cpt_%zu", number);
    return secret_digest(text);
}

static void nobody_holds_a_token_that_could_not_be_looked_up(void **state) {
    (void)state;
    struct token_cache *cache = token_cache_new();
    struct db *db = db_new(&nowhere);
    const struct secret_digest digest = token(1);
    size_t asked;
    assert_non_null(cache);
    assert_non_null(db);
    for (int round = 0; round < 3; round++) {
        token_cache_begin(cache, 1);
        assert_false(token_cache_use(cache, &digest));
        assert_false(token_cache_use(cache, &digest));
        assert_int_equal(token_cache_count(cache), 1);
        assert_int_equal(token_cache_refresh(cache, db, &asked), DB_AWAY);
        assert_int_equal(asked, 1);
        assert_false(token_cache_holder(cache, &digest)->known);
    }
    db_free(db);
    token_cache_free(cache);
}

static void it_never_holds_more_than_it_may(void **state) {
    (void)state;
    static const size_t at_once[] = {1, 100, 3000, TOKEN_CACHE_SIZE, 1};
    struct token_cache *cache = token_cache_new();
    size_t number = 0;
    assert_non_null(cache);
    for (size_t round = 0; round < 60; round++) {
        size_t tokens = at_once[round % COUNT(at_once)];
        token_cache_begin(cache, tokens);
        for (size_t i = 0; i < tokens; i++) {
            const struct secret_digest digest = token(number++);
            assert_false(token_cache_use(cache, &digest));
        }
        assert_true(token_cache_count(cache) <= TOKEN_CACHE_SIZE);
    }
    token_cache_free(cache);
}

/* ---- when memory is short */

#ifndef FOREIGN_MALLOC

void *__libc_realloc(void *old, size_t size); /* glibc's own name for what is replaced here */

static bool no_memory;

void *realloc(void *old, size_t size) {
    return no_memory ? NULL : __libc_realloc(old, size);
}

static void a_lack_of_memory_does_not_last(void **state) {
    (void)state;
    struct token_cache *cache = token_cache_new();
    struct db *db = db_new(&nowhere);
    const struct secret_digest digest = token(1);
    size_t asked;
    assert_non_null(cache);
    assert_non_null(db);
    token_cache_begin(cache, 1);
    token_cache_use(cache, &digest);
    no_memory = true;
    enum db_outcome outcome = token_cache_refresh(cache, db, &asked);
    no_memory = false;
    assert_int_equal(outcome, DB_FAILED);
    assert_int_equal(token_cache_refresh(cache, db, &asked), DB_AWAY);
    db_free(db);
    token_cache_free(cache);
}

#else

static void a_lack_of_memory_does_not_last(void **state) {
    (void)state;
    skip();
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_holds_a_token_that_could_not_be_looked_up),
        cmocka_unit_test(it_never_holds_more_than_it_may),
        cmocka_unit_test(a_lack_of_memory_does_not_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
