#include "unit.h"

#include "base/rate.h"

enum { SECOND = 1000 * 1000, MANY = 100 * 1000 };

/* Some time on the clock: tables begin anywhere. */
static const int64_t begin = 12345 * (int64_t)SECOND;

static struct rate rate_of(const char *text) {
    struct rate rate;
    assert_true(rate_parse(text, &rate));
    return rate;
}

static struct rate_table *table_of(const char *text) {
    const struct rate rate = rate_of(text);
    struct rate_table *table = rate_table_new(&rate);
    assert_non_null(table);
    return table;
}

static int64_t take(struct rate_table *table, int key, int64_t now) {
    return rate_take(table, &key, sizeof key, now);
}

static void texts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        struct rate rate;
    } good[] = {
        {"none", {0, 0}},
        {"1/s", {SECOND, 1}},
        {"4/min", {15 * SECOND, 4}},
        {"20/h:5", {180 * SECOND, 5}},
        {"300/s:3000", {3333, 3000}},
        {"1000000/s:1000000", {1, 1000000}},
        {"1/h:1000000", {3600 * (int64_t)SECOND, 1000000}},
    };
    static const char *const bad[] = {"",       "0/s",   "1",    "/s",    "1/d",       "1/",    "1/ms",
                                      "1/s:",   "1/s:0", "-1/s", "1/s ",  " 1/s",      "1/s:x", "1000001/s",
                                      "1/s:1x", "+1/s",  "None", "nones", "12345678/s"};
    for (size_t i = 0; i < COUNT(good); i++) {
        const struct rate rate = rate_of(good[i].text);
        assert_int_equal(rate.interval, good[i].rate.interval);
        assert_int_equal(rate.burst, good[i].rate.burst);
    }
    struct rate rate;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(rate_parse(bad[i], &rate));
}

static void as_many_as_the_burst_at_once(void **state) {
    (void)state;
    struct rate_table *table = table_of("2/s:5");
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(table, 1, begin), 0);
    assert_int_equal(take(table, 1, begin), SECOND / 2);
    assert_int_equal(take(table, 1, begin + SECOND / 4), SECOND / 4);
    rate_table_free(table);
}

static void then_one_an_interval(void **state) {
    (void)state;
    struct rate_table *table = table_of("2/s:5");
    int64_t now = begin;
    while (take(table, 1, now) == 0)
        ;
    for (int i = 0; i < 100; i++) {
        now += SECOND / 2;
        assert_int_equal(take(table, 1, now), 0);
        assert_int_equal(take(table, 1, now), SECOND / 2);
    }
    rate_table_free(table);
}

static void who_is_refused_does_not_wait_longer(void **state) {
    (void)state;
    struct rate_table *table = table_of("1/s");
    assert_int_equal(take(table, 1, begin), 0);
    for (int i = 1; i <= 9; i++)
        assert_int_equal(take(table, 1, begin + i * SECOND / 10), (10 - i) * SECOND / 10);
    assert_int_equal(take(table, 1, begin + SECOND), 0);
    rate_table_free(table);
}

static void a_bucket_is_never_more_than_full(void **state) {
    (void)state;
    struct rate_table *table = table_of("1/s:3");
    int64_t later = begin + 3600 * (int64_t)SECOND;
    assert_int_equal(take(table, 1, begin), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(table, 1, later), 0);
    assert_int_equal(take(table, 1, later), SECOND);
    rate_table_free(table);
}

static void keys_do_not_share(void **state) {
    (void)state;
    struct rate_table *table = table_of("1/s");
    assert_int_equal(rate_take(table, "a", 1, begin), 0);
    assert_int_equal(rate_take(table, "b", 1, begin), 0);
    assert_int_equal(rate_take(table, "ab", 2, begin), 0);
    assert_int_equal(rate_take(table, "a", 1, begin), SECOND);
    rate_table_free(table);
}

static void looking_takes_nothing(void **state) {
    (void)state;
    struct rate_table *table = table_of("1/s");
    for (int i = 0; i < 3; i++)
        assert_int_equal(rate_wait(table, "a", 1, begin), 0);
    assert_int_equal(rate_take(table, "a", 1, begin), 0);
    assert_int_equal(rate_wait(table, "a", 1, begin), SECOND);
    assert_int_equal(rate_wait(table, "a", 1, begin + SECOND), 0);
    rate_table_free(table);
}

static void what_is_given_back_can_be_taken(void **state) {
    (void)state;
    struct rate_table *table = table_of("1/h:2");
    rate_give_back(table, "a", 1); /* nothing was taken: nothing changes */
    assert_int_equal(rate_take(table, "a", 1, begin), 0);
    assert_int_equal(rate_take(table, "a", 1, begin), 0);
    assert_true(rate_take(table, "a", 1, begin) > 0);
    rate_give_back(table, "a", 1);
    assert_int_equal(rate_take(table, "a", 1, begin), 0);
    assert_true(rate_take(table, "a", 1, begin) > 0);
    rate_table_free(table);
}

static void what_is_emptied_again_takes_as_long_again(void **state) {
    (void)state;
    struct rate_table *table = table_of("1/s:3");
    for (int64_t now = begin; now < begin + 10 * SECOND; now += SECOND) {
        rate_empty(table, "a", 1, now);
        assert_int_equal(rate_wait(table, "a", 1, now), SECOND);
        assert_int_equal(rate_wait(table, "b", 1, now), 0);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(rate_take(table, "a", 1, begin + 12 * (int64_t)SECOND), 0);
    assert_int_equal(rate_take(table, "a", 1, begin + 12 * (int64_t)SECOND), SECOND);
    rate_table_free(table);
}

static void who_is_at_the_limit_is_not_pushed_out(void **state) {
    (void)state;
    struct rate_table *table = table_of("1/s:10");
    while (take(table, -1, begin) == 0)
        ;
    for (int key = 0; key < 10 * MANY; key++)
        assert_int_equal(take(table, key, begin), 0);
    assert_int_equal(take(table, -1, begin), SECOND);
    rate_table_free(table);
}

static void it_knows_many_keys_at_once(void **state) {
    (void)state;
    enum { FEW = RATE_TABLE_SIZE / 8 };
    struct rate_table *table = table_of("1/h");
    int known = 0;
    for (int key = 0; key < FEW; key++)
        assert_int_equal(take(table, key, begin), 0);
    for (int key = 0; key < FEW; key++)
        known += take(table, key, begin) > 0;
    assert_true(known > FEW - FEW / 100); /* a key may find its set taken */
    rate_table_free(table);
}

static void old_keys_make_room_for_new_ones(void **state) {
    (void)state;
    struct rate_table *table = table_of("1/s");
    for (int key = 0; key < MANY; key++)
        take(table, key, begin);
    int64_t later = begin + SECOND;
    for (int key = -1000; key < 0; key++)
        assert_int_equal(take(table, key, later), 0);
    int known = 0;
    for (int key = -1000; key < 0; key++)
        known += take(table, key, later) > 0;
    assert_int_equal(known, 1000);
    rate_table_free(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(as_many_as_the_burst_at_once),
        cmocka_unit_test(then_one_an_interval),
        cmocka_unit_test(who_is_refused_does_not_wait_longer),
        cmocka_unit_test(a_bucket_is_never_more_than_full),
        cmocka_unit_test(keys_do_not_share),
        cmocka_unit_test(looking_takes_nothing),
        cmocka_unit_test(what_is_given_back_can_be_taken),
        cmocka_unit_test(what_is_emptied_again_takes_as_long_again),
        cmocka_unit_test(who_is_at_the_limit_is_not_pushed_out),
        cmocka_unit_test(it_knows_many_keys_at_once),
        cmocka_unit_test(old_keys_make_room_for_new_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
