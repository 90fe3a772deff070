/* The public functions, without any server: nobody listens where these clients send to. */
#include "unit.h"

#include "carbond.h"
#include "forked.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPERIMENT "3f0c8f0e-6b57-4c7c-9d0a-6f1d2f6b8a11"

enum { THREADS = 8, EACH = 500 };

static char spool[] = "/tmp/carbond-client-XXXXXX";

static carbond_options quick_options(void) {
    carbond_options options;
    carbond_options_init(&options, sizeof options);
    options.url = "http://127.0.0.1:9/";
    options.experiment_id = EXPERIMENT;
    options.spool_dir = spool;
    options.flush_interval = 5;
    options.retry_min = options.retry_max = 5;
    options.fsync = CARBOND_FSYNC_NONE;
    return options;
}

static carbond_client *open_client(void) {
    carbond_options options = quick_options();
    carbond_client *client;
    assert_int_equal(carbond_open(&options, &client), CARBOND_OK);
    return client;
}

static carbond_emission measured(void) {
    carbond_emission emission;
    carbond_emission_init(&emission, sizeof emission);
    emission.duration = 1;
    emission.emissions_sum = 1;
    return emission;
}

static carbond_stats stats_of(carbond_client *client) {
    carbond_stats stats;
    carbond_get_stats(client, &stats, sizeof stats);
    return stats;
}

static void test_codes(void **state) {
    (void)state;
    for (int code = CARBOND_OK; code <= CARBOND_LOST; code++)
        assert_true(strlen(carbond_strerror(code)) > 5);
    assert_string_equal(carbond_strerror(-1), carbond_strerror(99));
    assert_true(carbond_is_retryable(CARBOND_FULL));
    assert_false(carbond_is_retryable(CARBOND_INVALID));
    assert_false(carbond_is_retryable(CARBOND_NOT_DURABLE));
    assert_string_equal(carbond_version(), "0.1.0");
}

/* A program that was compiled with another header says so by the sizes. */
static void test_sizes(void **state) {
    (void)state;
    struct {
        carbond_emission emission;
        double later[4];
    } newer;
    memset(&newer, 0xff, sizeof newer);
    carbond_emission_init(&newer.emission, sizeof newer);
    assert_int_equal(newer.emission.size, sizeof newer);
    assert_true(isnan(newer.emission.wue) && newer.later[3] == 0 && !newer.emission.id);

    carbond_client *client = open_client();
    carbond_run *run;
    assert_int_equal(carbond_run_start(client, NULL, &run), CARBOND_OK);
    newer.emission.duration = 1;
    assert_int_equal(carbond_emit(run, &newer.emission), CARBOND_OK);
    newer.emission.size = 16;
    assert_int_equal(carbond_emit(run, &newer.emission), CARBOND_INVALID);
    struct {
        carbond_stats stats;
        uint64_t later;
    } big = {.later = 7};
    carbond_get_stats(client, &big.stats, sizeof big);
    assert_int_equal(big.stats.emitted, 1);
    assert_int_equal(big.stats.refused, 1);
    assert_int_equal(big.later, 0);
    carbond_stats half = {.pending = 77};
    carbond_get_stats(client, &half, offsetof(carbond_stats, refused));
    assert_int_equal(half.emitted, 1);
    assert_int_equal(half.pending, 77);
    assert_int_equal(carbond_close(client), CARBOND_OK);
}

static void test_arguments(void **state) {
    (void)state;
    carbond_client *client = open_client();
    carbond_run *run;
    carbond_run_info info;
    carbond_emission emission = measured();
    assert_int_equal(carbond_open(NULL, NULL), CARBOND_INVALID);
    assert_int_equal(carbond_close(NULL), CARBOND_OK);
    carbond_run_free(NULL);
    assert_int_equal(carbond_emit(NULL, &emission), CARBOND_INVALID);
    assert_int_equal(carbond_emit_sync(NULL, &emission), CARBOND_INVALID);
    assert_int_equal(carbond_flush(NULL, 0), CARBOND_INVALID);
    assert_int_equal(carbond_set_token(client, "two words"), CARBOND_INVALID);
    assert_int_equal(carbond_set_token(client, NULL), CARBOND_OK);
    assert_int_equal(carbond_run_resume(client, "seven", &run), CARBOND_INVALID);

    carbond_run_info_init(&info, sizeof info);
    info.experiment_id = "seven";
    assert_int_equal(carbond_run_start(client, &info, &run), CARBOND_INVALID);
    info.experiment_id = NULL;
    info.os = "\xff\xfe";
    assert_int_equal(carbond_run_start(client, &info, &run), CARBOND_INVALID);
    char text[4098] = {0};
    memset(text, 'x', 4097);
    info.os = text;
    assert_int_equal(carbond_run_start(client, &info, &run), CARBOND_INVALID);
    text[4096] = '\0';
    assert_int_equal(carbond_run_start(client, &info, &run), CARBOND_OK);
    info.id = "3F0C8f0e-6b57-4c7c-9d0a-6f1d2f6b8A11";
    assert_int_equal(carbond_run_start(client, &info, &run), CARBOND_OK);
    assert_string_equal(carbond_run_id(run), "3f0c8f0e-6b57-4c7c-9d0a-6f1d2f6b8a11");
    emission.duration = 0;
    assert_int_equal(carbond_emit_sync(run, &emission), CARBOND_INVALID);
    assert_int_equal(carbond_flush(client, 0), CARBOND_TIMEOUT);
    assert_int_equal(stats_of(client).refused, 1);
    assert_int_equal(carbond_close(client), CARBOND_OK);
}

static atomic_int accepted;

static void *emit_and_sync(void *run) {
    carbond_emission emission = measured();
    for (int i = 0; i < EACH; i++) {
        int code = i % 10 == 0 ? carbond_emit_sync(run, &emission) : carbond_emit(run, &emission);
        if (code == CARBOND_OK)
            atomic_fetch_add(&accepted, 1);
        else
            assert_int_equal(code, CARBOND_FULL);
    }
    return NULL;
}

/* Everything at once; then the next client finds exactly what was accepted. */
static void test_many_threads(void **state) {
    (void)state;
    carbond_client *client = open_client();
    carbond_run *runs[THREADS];
    pthread_t threads[THREADS];
    atomic_store(&accepted, 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(carbond_run_start(client, NULL, &runs[i]), CARBOND_OK);
        assert_int_equal(pthread_create(&threads[i], NULL, emit_and_sync, runs[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        assert_int_equal(carbond_flush(client, 1), CARBOND_TIMEOUT);
        assert_int_equal(carbond_set_token(client, i % 2 ? "cpt_x" : NULL), CARBOND_OK);
        pid_t child = fork();
        if (child == 0)
            _exit(carbond_emit_sync(runs[0], &(carbond_emission){.size = 8}) == CARBOND_INVALID ? 0 : 1);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        carbond_run_free(runs[i]);
    }
    assert_int_equal(stats_of(client).emitted, atomic_load(&accepted));
    uint64_t pending = stats_of(client).pending;
    assert_int_equal(carbond_close(client), CARBOND_OK);

    client = open_client();
    for (int i = 0; i < 1000 && stats_of(client).pending != pending; i++)
        usleep(10000);
    assert_int_equal(stats_of(client).pending, pending);
    assert_int_equal(carbond_close(client), CARBOND_OK);
}

/* ThreadSanitizer does not support a thread that a forked child starts. */
#if defined(__SANITIZE_THREAD__)
#define FORKED_THREADS false
#else
#define FORKED_THREADS true
#endif

/* Its thread does nothing after the first failure: AddressSanitizer's allocator, unlike glibc's, is not made for a fork while
 * another thread allocates. */
static carbond_client *open_restful_client(void) {
    carbond_options options = quick_options();
    carbond_client *client;
    options.flush_interval = options.retry_min = options.retry_max = 3600000;
    assert_int_equal(carbond_open(&options, &client), CARBOND_OK);
    return client;
}

/* A child that emits has a spool of its own, beside its parent's. */
static void test_fork(void **state) {
    (void)state;
    if (!FORKED_THREADS)
        skip();
    carbond_client *client = open_restful_client();
    carbond_run *run;
    carbond_emission emission = measured();
    assert_int_equal(carbond_run_start(client, NULL, &run), CARBOND_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(carbond_emit(run, &emission), CARBOND_OK);
    assert_int_equal(carbond_flush(client, 1000), CARBOND_TIMEOUT);
    pid_t child = fork();
    if (child == 0) {
        forked_child_begins();
        bool good = stats_of(client).pending == 0 && carbond_emit(run, &emission) == CARBOND_OK &&
                    carbond_emit_sync(run, &emission) == CARBOND_OK &&
                    carbond_flush(client, 10) == CARBOND_TIMEOUT && stats_of(client).pending >= 2 &&
                    carbond_close(client) == CARBOND_OK;
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(carbond_close(client), CARBOND_OK);
}

static int remove_spool(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", spool);
    return system(command); /* NOLINT(cert-env33-c): a name of our own making */
}

static int make_spool(void **state) {
    (void)state;
    return clearenv() != 0 || !mkdtemp(spool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),        cmocka_unit_test(test_sizes), cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_many_threads), cmocka_unit_test(test_fork),
    };
    return cmocka_run_group_tests(tests, make_spool, remove_spool);
}
