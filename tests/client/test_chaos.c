/* Each allocation, and each operation on files, fails in turn. Whatever fails: nothing crashes, what was accepted as durable
 * is found by the next client, and so is all that was accepted, when the client was closed without a complaint. */
#include "unit.h"

#include "carbond.h"

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- what fails: the linker leads the library's calls here (--wrap) ---------------------------------------------------------- */

static atomic_long countdown; /* the call that takes it from 1 to 0 fails */
static atomic_int failure;    /* with this errno; of allocations, ENOMEM */

static bool fails(bool is_allocation) {
    if (is_allocation != (atomic_load(&failure) == ENOMEM) || atomic_load(&countdown) <= 0)
        return false;
    if (atomic_fetch_sub(&countdown, 1) != 1)
        return false;
    errno = atomic_load(&failure);
    return true;
}

#define WRAP(result, name, failed, is_allocation, parameters, arguments)                                     \
    result __real_##name parameters;                                                                         \
    result __wrap_##name parameters;                                                                         \
    result __wrap_##name parameters {                                                                        \
        return fails(is_allocation) ? (failed) : __real_##name arguments;                                    \
    }

WRAP(void *, malloc, NULL, true, (size_t size), (size))
WRAP(void *, calloc, NULL, true, (size_t count, size_t size), (count, size))
WRAP(void *, realloc, NULL, true, (void *old, size_t size), (old, size))
WRAP(char *, strdup, NULL, true, (const char *text), (text))
WRAP(ssize_t, pwrite, -1, false, (int fd, const void *bytes, size_t length, off_t at),
     (fd, bytes, length, at))
WRAP(ssize_t, pread, -1, false, (int fd, void *bytes, size_t length, off_t at), (fd, bytes, length, at))
WRAP(int, fdatasync, -1, false, (int fd), (fd))
WRAP(int, fsync, -1, false, (int fd), (fd))
WRAP(int, ftruncate, -1, false, (int fd, off_t length), (fd, length))
WRAP(int, flock, -1, false, (int fd, int operation), (fd, operation))
WRAP(int, mkdir, -1, false, (const char *path, mode_t mode), (path, mode))
WRAP(int, mkdirat, -1, false, (int directory, const char *path, mode_t mode), (directory, path, mode))
WRAP(int, unlinkat, -1, false, (int directory, const char *path, int flags), (directory, path, flags))
WRAP(int, renameat, -1, false, (int from, const char *old, int to, const char *name), (from, old, to, name))
WRAP(int, fstat, -1, false, (int fd, struct stat *file), (fd, file))
WRAP(int, memfd_create, -1, false, (const char *name, unsigned flags), (name, flags))
WRAP(int, dup3, -1, false, (int from, int to, int flags), (from, to, flags))
WRAP(DIR *, fdopendir, NULL, false, (int fd), (fd))

int __real_openat(int directory, const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, mode_t mode);
int __wrap_openat(int directory, const char *path, int flags, mode_t mode) {
    return fails(false) ? -1 : __real_openat(directory, path, flags, mode);
}

/* -- what is done meanwhile -------------------------------------------------------------------------------------------------- */

static char root[] = "/tmp/carbond-chaos-XXXXXX";
static char spool[64];

static carbond_options options_here(void) {
    carbond_options options;
    carbond_options_init(&options, sizeof options);
    options.url = "http://127.0.0.1:9";
    options.experiment_id = "3f0c8f0e-6b57-4c7c-9d0a-6f1d2f6b8a11";
    options.spool_dir = spool;
    options.flush_interval = 1;
    options.retry_min = options.retry_max = 1;
    options.max_bytes = 1 << 20;
    return options;
}

struct tally {
    unsigned accepted, durable;
    bool closed_well;
};

static void emit_some(carbond_client *client, struct tally *tally) {
    carbond_run *run;
    carbond_emission emission;
    int code = carbond_run_start(client, NULL, &run);
    if (code != CARBOND_OK && code != CARBOND_NOT_DURABLE)
        return;
    carbond_emission_init(&emission, sizeof emission);
    emission.duration = 1;
    for (int i = 0; i < 6; i++) {
        code = i % 2 == 0 ? carbond_emit_sync(run, &emission) : carbond_emit(run, &emission);
        tally->durable += i % 2 == 0 && code == CARBOND_OK;
        tally->accepted += code == CARBOND_OK || code == CARBOND_NOT_DURABLE;
    }
    code = carbond_flush(client, 2);
    assert_true(code == CARBOND_TIMEOUT || tally->accepted == 0);
}

static struct tally live(void) {
    struct tally tally = {.closed_well = false};
    carbond_options options = options_here();
    carbond_client *client;
    if (carbond_open(&options, &client) != CARBOND_OK)
        return tally;
    emit_some(client, &tally);
    tally.closed_well = carbond_close(client) == CARBOND_OK;
    return tally;
}

/* Adoption takes a moment: so long as there is less than expected. */
static uint64_t found_by_the_next(uint64_t expected) {
    carbond_options options = options_here();
    carbond_client *client;
    carbond_stats stats;
    assert_int_equal(carbond_open(&options, &client), CARBOND_OK);
    for (int i = 0; i < 1000; i++) {
        int code = carbond_flush(client, 1);
        carbond_get_stats(client, &stats, sizeof stats);
        if (stats.pending >= expected || code == CARBOND_OK)
            break;
    }
    assert_int_equal(carbond_close(client), CARBOND_OK);
    return stats.pending;
}

static void remove_spool(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", spool);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a name of our own making */
}

/* Something is there already; then a life in which something fails, until one passes without that many calls. */
static void fail_each_with(int error) {
    for (long n = 1; n < 5000; n++) {
        struct tally before = live();
        assert_true(before.closed_well && before.durable == 3);
        atomic_store(&failure, error);
        atomic_store(&countdown, n);
        struct tally tally = live();
        bool was_reached = atomic_exchange(&countdown, 0) == 0;
        uint64_t least = before.accepted + (tally.closed_well ? tally.accepted : tally.durable);
        uint64_t found = found_by_the_next(least);
        if (found < least || (tally.closed_well && found != least))
            fail_msg("failure %ld with %s: %u accepted, %u durable, closed %s, found %u", n, strerror(error),
                     tally.accepted, tally.durable, tally.closed_well ? "well" : "with a complaint",
                     (unsigned)found);
        remove_spool();
        if (!was_reached) {
            print_message("%s failed in %ld places\n", strerror(error), n - 1);
            return;
        }
    }
    fail_msg("it never ends");
}

static void test_allocations(void **state) {
    (void)state;
    fail_each_with(ENOMEM);
}

static void test_files_on_a_full_disk(void **state) {
    (void)state;
    fail_each_with(ENOSPC);
}

static void test_files_on_a_broken_disk(void **state) {
    (void)state;
    fail_each_with(EIO);
}

static void test_files_without_permission(void **state) {
    (void)state;
    fail_each_with(EACCES);
}

static int begin(void **state) {
    (void)state;
    if (clearenv() != 0 || !mkdtemp(root) ||
        curl_global_init_mem(CURL_GLOBAL_DEFAULT, __wrap_malloc, free, __wrap_realloc, __wrap_strdup,
                             __wrap_calloc) != 0)
        return 1;
    json_set_alloc_funcs(__wrap_malloc, free);
    snprintf(spool, sizeof spool, "%s/spool", root);
    return 0;
}

static int end(void **state) {
    (void)state;
    return rmdir(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_files_on_a_full_disk),
        cmocka_unit_test(test_files_on_a_broken_disk),
        cmocka_unit_test(test_files_without_permission),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
