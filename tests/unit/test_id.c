#include "unit.h"

#include "base/id.h"

#include <pthread.h>

enum { IDS = 50000, THREADS = 4 };

static void test_text(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "3f0c8f0e",
        "3f0c8f0e6b574c7c9d0a6f1d2f6b8a11",
        "3f0c8f0e-6b57-4c7c-9d0a-6f1d2f6b8a1",
        "3f0c8f0e-6b57-4c7c-9d0a-6f1d2f6b8a111",
        "3f0c8f0g-6b57-4c7c-9d0a-6f1d2f6b8a11",
        "{3f0c8f0e-6b57-4c7c-9d0a-6f1d2f6b8a1}",
        " 3f0c8f0e-6b57-4c7c-9d0a-6f1d2f6b8a11",
        "3f0c8f0e_6b57-4c7c-9d0a-6f1d2f6b8a11",
        "3f0c8f0e-6b57-4c7c-9d0a-6f1d2f6b8a 1",
    };
    struct id id;
    char text[ID_TEXT_SIZE];
    assert_true(id_parse("3F0C8f0e-6b57-4c7c-9d0a-6f1d2f6b8A11", &id));
    id_format(&id, text);
    assert_string_equal(text, "3f0c8f0e-6b57-4c7c-9d0a-6f1d2f6b8a11");
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(id_parse(bad[i], &id));
}

static void test_versions(void **state) {
    (void)state;
    struct id v4 = id_new_v4(), v7 = id_new_v7();
    assert_int_equal(v4.bytes[6] >> 4, 4);
    assert_int_equal(v7.bytes[6] >> 4, 7);
    assert_int_equal(v4.bytes[8] >> 6, 2);
    assert_int_equal(v7.bytes[8] >> 6, 2);
}

static int compare(const void *a, const void *b) {
    return memcmp(a, b, sizeof(struct id));
}

static void *make(void *ids) {
    for (int i = 0; i < IDS; i++)
        ((struct id *)ids)[i] = id_new_v7();
    return NULL;
}

static void test_order_and_uniqueness(void **state) {
    (void)state;
    static struct id ids[THREADS][IDS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make, ids[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        for (int k = 1; k < IDS; k++)
            assert_true(compare(&ids[i][k - 1], &ids[i][k]) < 0);
    struct id *all = ids[0];
    qsort(all, (size_t)THREADS * IDS, sizeof *all, compare);
    for (int k = 1; k < THREADS * IDS; k++)
        assert_true(compare(&all[k - 1], &all[k]) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_order_and_uniqueness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
