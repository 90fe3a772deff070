#include "unit.h"

#include "backoff.h"

enum { NOW = 1000000 };

static void test_ceilings(void **state) {
    (void)state;
    static const int64_t ceilings[] = {1000,  2000,   4000,   8000,   16000, 32000,
                                       64000, 128000, 256000, 300000, 300000};
    struct backoff backoff;
    backoff_init(&backoff, 1000, 300000);
    assert_int_equal(backoff_pause(&backoff, NOW), 0);
    for (size_t i = 0; i < COUNT(ceilings); i++) {
        backoff_fail(&backoff, NOW, 0, (uint64_t)ceilings[i] - 1);
        assert_int_equal(backoff_pause(&backoff, NOW), ceilings[i]);
    }
    for (int i = 0; i < 1000; i++)
        backoff_fail(&backoff, NOW, 0, 0);
    assert_int_equal(backoff_pause(&backoff, NOW), 1);
    assert_int_equal(backoff_pause(&backoff, NOW + 1), 0);
    backoff_reset(&backoff);
    assert_int_equal(backoff_pause(&backoff, NOW), 0);
    backoff_fail(&backoff, NOW, 0, 999);
    assert_int_equal(backoff_pause(&backoff, NOW), 1000);
}

static void test_what_the_server_asks_for_is_the_floor(void **state) {
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff, 1000, 300000);
    backoff_fail(&backoff, NOW, 7000, 499);
    assert_int_equal(backoff_pause(&backoff, NOW), 7500);
    backoff_hurry(&backoff, NOW + 100);
    assert_int_equal(backoff_pause(&backoff, NOW + 100), 6900);
    backoff_hurry(&backoff, NOW + 7200);
    assert_int_equal(backoff_pause(&backoff, NOW + 7200), 0);
    backoff_fail(&backoff, NOW, INT64_MAX / 2, 0);
    assert_int_equal(backoff_pause(&backoff, NOW), INT64_C(86400000) + 1);
}

static void test_hurrying(void **state) {
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff, 1000, 300000);
    backoff_fail(&backoff, NOW, 0, 800);
    backoff_hurry(&backoff, NOW);
    assert_int_equal(backoff_pause(&backoff, NOW), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ceilings),
        cmocka_unit_test(test_what_the_server_asks_for_is_the_floor),
        cmocka_unit_test(test_hurrying),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
