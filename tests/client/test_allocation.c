/* carbond_emit allocates nothing, whatever the background thread does meanwhile: malloc and its kin are counted for each
 * thread. */
#include "carbond.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the four above before it */
#include <cmocka.h>

enum { THREADS = 8, CALLS = 20000 };

/* -- counting -------------------------------------------------------------------------------------------------------------- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static _Thread_local unsigned allocations;

void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
    allocations++;
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}

/* -- emitting -------------------------------------------------------------------------------------------------------------- */

static char spool[] = "/tmp/carbond-allocation-XXXXXX";

struct work {
    carbond_run *run;
    const char *id; /* or NULL */
    int64_t timestamp;
    unsigned allocations, accepted, refused;
};

static void *emit(void *context) {
    struct work *work = context;
    carbond_emission emission;
    carbond_emission_init(&emission, sizeof emission);
    emission.duration = 1;
    emission.id = work->id;
    emission.timestamp = work->timestamp;
    unsigned before = allocations;
    for (int i = 0; i < CALLS; i++) {
        bool accepted = carbond_emit(work->run, &emission) == CARBOND_OK;
        work->accepted += accepted;
        work->refused += !accepted;
    }
    emission.duration = -1;
    work->refused += carbond_emit(work->run, &emission) != CARBOND_OK;
    work->allocations = allocations - before;
    return NULL;
}

static int open_client(void **state) {
    carbond_options options;
    carbond_options_init(&options, sizeof options);
    options.url = "http://127.0.0.1:9"; /* nobody is there */
    options.experiment_id = "11111111-2222-4333-8444-555555555555";
    options.spool_dir = mkdtemp(spool);
    options.config_file = "/dev/null";
    options.flush_interval = 1;
    options.ring_capacity = 256;
    return carbond_open(&options, (carbond_client **)state);
}

static int close_client(void **state) {
    char command[sizeof spool + 16];
    carbond_close(*state);
    snprintf(command, sizeof command, "rm -r %s", spool);
    return system(command); /* NOLINT(cert-env33-c): a directory of its own making */
}

/* The ring is small: it is full at times, and taken from all the time. */
static void test_emit_allocates_nothing(void **state) {
    carbond_run *run;
    pthread_t threads[THREADS];
    struct work works[THREADS];
    unsigned accepted = 0, refused = 0;
    assert_int_equal(carbond_run_start(*state, NULL, &run), CARBOND_OK);
    for (int i = 0; i < THREADS; i++) {
        works[i] = (struct work){.run = run, .timestamp = i % 2};
        works[i].id = i == 0 ? "01234567-89ab-4cde-8f01-23456789abcd" : NULL;
        assert_int_equal(pthread_create(&threads[i], NULL, emit, &works[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(works[i].allocations, 0);
        accepted += works[i].accepted;
        refused += works[i].refused;
    }
    assert_true(accepted > 0);
    carbond_stats stats;
    carbond_get_stats(*state, &stats, sizeof stats);
    assert_int_equal(stats.emitted, accepted);
    assert_int_equal(stats.refused, refused);
}

static void test_the_count_counts(void **state) {
    (void)state;
    unsigned before = allocations;
    free(malloc(1));
    free(calloc(1, 1));
    free(aligned_alloc(64, 64));
    assert_int_equal(allocations - before, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_count_counts),
        cmocka_unit_test_setup_teardown(test_emit_allocates_nothing, open_client, close_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
