#include "unit.h"

#include "base/timestamp.h"

static const struct {
    const char *text;
    const char *normal; /* NULL: refused */
} cases[] = {
    {"2026-11-23T17:40:00.1+00:00", "2026-11-23T17:40:00.100000+00:00"},
    {"2026-11-23T17:40:00", "2026-11-23T17:40:00.000000+00:00"},
    {"2026-11-23 17:40:00Z", "2026-11-23T17:40:00.000000+00:00"},
    {"2026-11-23t17:40:00z", "2026-11-23T17:40:00.000000+00:00"},
    {"2026-11-23", "2026-11-23T00:00:00.000000+00:00"},
    {"2026-11-23T17:40:00.123456789Z", "2026-11-23T17:40:00.123456+00:00"},
    {"2026-11-23T17:40:00.999999999Z", "2026-11-23T17:40:00.999999+00:00"},
    {"1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999+00:00"},
    {"2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000000+00:00"},
    {"2025-12-31T23:30:00-01:30", "2026-01-01T01:00:00.000000+00:00"},
    {"2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000+00:00"},
    {"2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000000+00:00"},
    {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000+00:00"},
    {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000+00:00"},
    {"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"},
    {"1900-02-29T00:00:00Z", NULL},
    {"2023-02-29T00:00:00Z", NULL},
    {"2026-04-31T00:00:00Z", NULL},
    {"2026-00-01T00:00:00Z", NULL},
    {"2026-13-01T00:00:00Z", NULL},
    {"2026-11-00T00:00:00Z", NULL},
    {"2026-11-23T24:00:00Z", NULL},
    {"2026-11-23T17:60:00Z", NULL},
    {"2026-11-23T17:40:61Z", NULL},
    {"2026-11-23T17:40:00.Z", NULL},
    {"2026-11-23T17:40:00+24:00", NULL},
    {"2026-11-23T17:40:00+01:60", NULL},
    {"2026-11-23T17:40:00 ", NULL},
    {"2026-11-23T17:40:00Zx", NULL},
    {"2026-11-23T", NULL},
    {"26-11-23", NULL},
    {"+2026-11-23", NULL},
    {"2026-11-2 ", NULL},
    {"0000-01-01T00:00:00Z", NULL},
    {"0001-01-01T00:00:00+01:00", NULL},
    {"9999-12-31T23:59:59-01:00", NULL},
    {"99999-01-01T00:00:00Z", NULL},
    {"", NULL},
};

static void test_parse(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t timestamp;
        char text[TIMESTAMP_TEXT_SIZE] = "";
        bool parsed = timestamp_parse(cases[i].text, &timestamp);
        if (parsed != (cases[i].normal != NULL))
            fail_msg("%s: %s", cases[i].text, parsed ? "taken" : "refused");
        if (!parsed)
            continue;
        timestamp_format(timestamp, text);
        assert_string_equal(text, cases[i].normal);
    }
}

static void test_known_numbers(void **state) {
    (void)state;
    int64_t timestamp;
    assert_true(timestamp_parse("1970-01-01T00:00:00.000001Z", &timestamp));
    assert_int_equal(timestamp, 1);
    assert_true(timestamp_parse("2001-09-09T01:46:40Z", &timestamp));
    assert_int_equal(timestamp, 1000000000LL * 1000000);
}

/* Each day from 0001 to 9999 is one day after the one before it. */
static void test_every_day(void **state) {
    (void)state;
    int64_t first, parsed;
    assert_true(timestamp_parse("0001-01-01", &first));
    for (int64_t day = 0; day < 3652059; day++) {
        char text[TIMESTAMP_TEXT_SIZE];
        timestamp_format(first + day * 86400000000LL, text);
        assert_true(timestamp_parse(text, &parsed));
        assert_int_equal(parsed, first + day * 86400000000LL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_known_numbers),
        cmocka_unit_test(test_every_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
