/* The table of addresses: who counts as the same client, and that nothing of one that is gone stays. */
#include "unit.h"

#include "http/source.h"

#include <string.h>

static struct source *hold(struct source_table *table, const char *text) {
    struct http_address address;
    struct source *source =
        http_address_parse(text, strlen(text), false, &address) ? source_hold(table, &address) : NULL;
    if (!source)
        abort();
    return source;
}

static void who_is_the_same(void **state) {
    (void)state;
    static const struct {
        const char *one, *other;
        bool same;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
        {"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
        {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
        {"0.0.0.0", "::", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct source_table *table = source_table_new();
        struct source *one = hold(table, cases[i].one), *other = hold(table, cases[i].other);
        if ((one == other) != cases[i].same)
            fail_msg("%s, %s", cases[i].one, cases[i].other);
        assert_int_equal(one->connections, cases[i].same ? 2 : 1);
        source_release(table, one);
        source_release(table, other);
        source_table_free(table);
    }
}

/* More than there are buckets, so that some share one; they go in another order than they came. */
static void many_come_and_go(void **state) {
    (void)state;
    enum { MANY = 3000 };
    static struct source *held[MANY];
    struct source_table *table = source_table_new();
    char text[32];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            snprintf(text, sizeof text, "10.0.%d.%d", i / 250, i % 250);
            held[i] = hold(table, text);
            assert_int_equal(held[i]->connections, 1);
            held[i]->body_bytes = 1;
        }
        for (int i = 0; i < MANY; i++)
            source_release(table, held[(i * 7) % MANY]);
    }
    source_table_free(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(who_is_the_same), cmocka_unit_test(many_come_and_go)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
