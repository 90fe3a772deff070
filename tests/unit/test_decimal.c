/* Decimal numbers against strtod. */
#include "unit.h"

#include "base/decimal.h"

#include <inttypes.h>

static uint64_t state = UINT64_C(88172645463325252);

static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* True if it could tell. */
static bool check(uint64_t digits, int exponent) {
    char text[48];
    double value;
    if (!decimal_to_double(digits, exponent, &value))
        return false;
    snprintf(text, sizeof text, "%" PRIu64 "e%d", digits, exponent);
    if (value != strtod(text, NULL))
        fail_msg("%s became %.17g", text, value);
    return true;
}

static void numbers_of_any_length(void **state_) {
    (void)state_;
    int told = 0;
    for (int i = 0; i < 2000000; i++) {
        uint64_t limit = 1;
        for (uint64_t length = 1 + next() % 19; length > 0; length--)
            limit *= 10;
        told += check(next() % limit, (int)(next() % 55) - 27);
    }
    assert_true(told > 1000000);
}

/* Halfway between two doubles, and next to it. */
static void numbers_near_a_half(void **state_) {
    (void)state_;
    for (int i = 0; i < 200000; i++) {
        uint64_t whole = (UINT64_C(1) << 63 | next()) & ~UINT64_C(0x7ff);
        for (uint64_t rest = 0x3fd; rest <= 0x403; rest++)
            check(whole | rest, 0);
        check((next() >> 11) * 2 + 1, -(int)(next() % 28));
    }
}

static void beyond_its_means(void **state_) {
    (void)state_;
    double value;
    assert_true(decimal_to_double(0, 0, &value) && value == 0);
    assert_true(decimal_to_double(15, -1, &value) && value == 1.5);
    assert_false(decimal_to_double(1, 28, &value));
    assert_false(decimal_to_double(1, -28, &value));
    check(UINT64_MAX, 27);
    check(UINT64_MAX, -27);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_any_length),
        cmocka_unit_test(numbers_near_a_half),
        cmocka_unit_test(beyond_its_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
