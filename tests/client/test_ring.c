#include "unit.h"

#include "ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { THREADS = 8, EACH = 20000 };

static struct ring_entry numbered(int64_t number) {
    return (struct ring_entry){.emission = {.timestamp = number}};
}

static void test_bounds_and_order(void **state) {
    (void)state;
    struct ring *ring = ring_new(5);
    assert_non_null(ring);
    assert_int_equal(ring_capacity(ring), 8);
    for (int64_t round = 0; round < 5; round++) {
        for (int64_t i = 0; i < 8; i++) {
            struct ring_entry entry = numbered(round * 8 + i);
            assert_true(ring_put(ring, &entry));
        }
        struct ring_entry one_more = numbered(-1);
        assert_false(ring_put(ring, &one_more));
        assert_int_equal(ring_length(ring), 8);
        for (size_t i = 0; i < 8; i++)
            assert_int_equal(ring_peek(ring, i)->emission.timestamp, round * 8 + (int64_t)i);
        assert_null(ring_peek(ring, 8));
        ring_drop(ring, 3);
        assert_int_equal(ring_peek(ring, 0)->emission.timestamp, round * 8 + 3);
        assert_null(ring_peek(ring, 5));
        ring_drop(ring, 5);
        assert_null(ring_peek(ring, 0));
        assert_int_equal(ring_length(ring), 0);
    }
    struct ring_entry entry = numbered(7);
    assert_true(ring_put(ring, &entry));
    ring_clear(ring);
    assert_null(ring_peek(ring, 0));
    ring_free(ring);
}

static struct ring *shared;
static atomic_int refusals;

static void *put_many(void *argument) {
    int64_t thread = (int64_t)(intptr_t)argument;
    for (int64_t i = 0; i < EACH; i++) {
        struct ring_entry entry = numbered(thread * EACH + i);
        for (size_t k = 0; k < EMISSION_NUMBERS; k++)
            entry.emission.numbers[k] = (double)entry.emission.timestamp;
        while (!ring_put(shared, &entry)) {
            atomic_fetch_add(&refusals, 1);
            sched_yield();
        }
    }
    return NULL;
}

/* Each comes once, whole, and in the order of its thread. */
static void test_many_threads(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    int64_t next[THREADS] = {0};
    shared = ring_new(64);
    assert_non_null(shared);
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, (void *)i), 0);
    for (int64_t taken = 0; taken < (int64_t)THREADS * EACH;) {
        const struct ring_entry *entry = ring_peek(shared, 0);
        if (!entry) {
            sched_yield();
            continue;
        }
        int64_t thread = entry->emission.timestamp / EACH;
        assert_int_equal(entry->emission.timestamp % EACH, next[thread]++);
        for (size_t k = 0; k < EMISSION_NUMBERS; k++)
            assert_true(entry->emission.numbers[k] == (double)entry->emission.timestamp);
        ring_drop(shared, 1);
        taken++;
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_null(ring_peek(shared, 0));
    ring_free(shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_and_order),
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
