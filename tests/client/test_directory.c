/* Directories that are made while others tidy up. How old one is, is told by the file system's clock, which may be far from
 * the client's: here each seems to be old. */
#include "unit.h"

#include "directory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MADE = 3000 };

static char parent_path[] = "/tmp/carbond-directory-XXXXXX";
static int parent;

static int set_up(void **state) {
    (void)state;
    return mkdtemp(parent_path) && (parent = open(parent_path, O_RDONLY | O_DIRECTORY)) >= 0 ? 0 : 1;
}

static int tear_down(void **state) {
    (void)state;
    return close(parent) == 0 && rmdir(parent_path) == 0 ? 0 : 1;
}

static bool is_there(const char *name) {
    return faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void tidy(void *context, const char *name) {
    (void)context;
    directory_remove_unfinished(parent, name, INT64_MAX);
}

static void test_what_a_killed_process_left_goes(void **state) {
    (void)state;
    for (int with_lock = 0; with_lock < 2; with_lock++) {
        assert_int_equal(mkdirat(parent, ".left", 0700), 0);
        if (with_lock)
            close(openat(parent, ".left/lock", O_RDWR | O_CREAT, 0600));
        directory_remove_unfinished(parent, ".left", 1); /* it is younger */
        assert_true(is_there(".left"));
        tidy(NULL, ".left");
        assert_false(is_there(".left"));
    }
}

static void test_what_is_being_made_stays(void **state) {
    (void)state;
    assert_int_equal(mkdirat(parent, ".made", 0700), 0);
    int lock = openat(parent, ".made/lock", O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    tidy(NULL, ".made");
    assert_true(is_there(".made/lock"));
    close(lock);
    tidy(NULL, ".made");
    assert_false(is_there(".made"));
}

static void test_what_is_whole_stays(void **state) {
    (void)state;
    int directory, lock;
    assert_int_equal(directory_make_locked(parent, "whole", &directory, &lock), 0);
    tidy(NULL, "whole");
    assert_true(is_there("whole/lock"));
    close(directory);
    close(lock);
    tidy(NULL, "whole");
    assert_true(is_there("whole/lock"));
    assert_int_equal(unlinkat(parent, "whole/lock", 0) | unlinkat(parent, "whole", AT_REMOVEDIR), 0);
}

/* As the next client does that finds it. */
static void adopt_empty(void *context, const char *name) {
    (void)context;
    int directory, lock;
    assert_int_equal(directory_take(parent, name, &directory, &lock), 0);
    assert_true(directory_holds_only_lock(directory));
    assert_int_equal(unlinkat(directory, "lock", 0) | unlinkat(parent, name, AT_REMOVEDIR), 0);
    close(directory);
    close(lock);
}

static void *tidy_all_the_time(void *over) {
    while (!atomic_load((atomic_bool *)over))
        directory_each(parent, tidy, NULL);
    return NULL;
}

/* One without its lock would be taken for an orphan by the next client, while its owner writes. */
static void test_made_while_somebody_tidies(void **state) {
    (void)state;
    atomic_bool over = false;
    pthread_t tidier;
    assert_int_equal(pthread_create(&tidier, NULL, tidy_all_the_time, &over), 0);
    int made = 0, stolen = 0, strange = 0;
    for (int i = 0; i < MADE; i++) {
        char name[32];
        int directory, lock, other, other_lock;
        snprintf(name, sizeof name, "made-%d", i);
        int problem = directory_make_locked(parent, name, &directory, &lock);
        strange += problem != 0 && problem != EWOULDBLOCK && problem != ENOENT && problem != EEXIST;
        if (problem != 0)
            continue;
        made++;
        bool taken = directory_take(parent, name, &other, &other_lock) == 0;
        stolen += taken || !directory_is(directory, "lock", lock);
        if (taken) {
            close(other);
            close(other_lock);
        }
        unlinkat(directory, "lock", 0);
        unlinkat(parent, name, AT_REMOVEDIR);
        close(directory);
        close(lock);
    }
    atomic_store(&over, true);
    pthread_join(tidier, NULL);
    directory_each(parent, tidy, NULL);
    directory_each(parent, adopt_empty,
                   NULL); /* whoever tidied may have come late, and made a lock where its owner was gone */
    assert_int_equal(stolen, 0);
    assert_int_equal(strange, 0);
    assert_in_range(made, MADE / 2, MADE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_killed_process_left_goes),
        cmocka_unit_test(test_what_is_being_made_stays),
        cmocka_unit_test(test_what_is_whole_stays),
        cmocka_unit_test(test_made_while_somebody_tidies),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
