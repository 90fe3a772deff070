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

int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
int __real_unlinkat(int directory, const char *name, int flags);
int __wrap_unlinkat(int directory, const char *name, int flags);

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

/* What happens just before the next call of each, once. */
static void (*before_flock)(void), (*before_unlink)(void);
static bool like_nfs;

static void call_once(void (**hook)(void)) {
    void (*now)(void) = *hook;
    if (!now)
        return;
    *hook = NULL;
    now();
}

int __wrap_flock(int fd, int operation) {
    call_once(&before_flock);
    if (like_nfs && (operation & LOCK_EX) != 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
        errno = EBADF;
        return -1;
    }
    return __real_flock(fd, operation);
}

int __wrap_unlinkat(int directory, const char *name, int flags) {
    if (flags == 0)
        call_once(&before_unlink);
    return __real_unlinkat(directory, name, flags);
}

static void count_file(void *count, const char *name) {
    (void)name;
    ++*(int *)count;
}

static int open_files(void) {
    int count = 0, files = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    assert_true(directory_each(files, count_file, &count));
    close(files);
    return count;
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
static void adopt_empty(const char *name) {
    int directory, lock;
    assert_int_equal(directory_take(parent, name, &directory, &lock), 0);
    assert_true(directory_holds_only_lock(directory));
    assert_int_equal(unlinkat(directory, "lock", 0) | unlinkat(parent, name, AT_REMOVEDIR), 0);
    close(directory);
    close(lock);
}

/* -- one moment after another -------------------------------------------------------------------------------------------- */

static int lock_of_another = -1;

static void tidy_made(void) {
    tidy(NULL, ".made");
}

static void replace_lock(void) {
    assert_int_equal(unlinkat(parent, ".made/lock", 0), 0);
    close(openat(parent, ".made/lock", O_RDWR | O_CREAT, 0600));
}

/* As a maker does that has found the first one locked. */
static void make_another(void) {
    assert_int_equal(unlinkat(parent, ".made/lock", 0) | unlinkat(parent, ".made", AT_REMOVEDIR), 0);
    assert_int_equal(mkdirat(parent, ".made", 0700), 0);
    lock_of_another = openat(parent, ".made/lock", O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(lock_of_another, LOCK_EX | LOCK_NB), 0);
}

static void find_it_locked(void) {
    int lock = openat(parent, ".made/lock", O_RDWR);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    close(lock);
}

static void give_it_its_name(void) {
    assert_int_equal(renameat(parent, ".made", parent, "made"), 0);
}

static void test_disturbed_while_it_is_made(void **state) {
    (void)state;
    void (*const disturbances[])(void) = {tidy_made, replace_lock};
    int files = open_files();
    for (size_t i = 0; i < COUNT(disturbances); i++) {
        int directory, lock;
        before_flock = disturbances[i];
        assert_int_equal(directory_make_locked(parent, "made", &directory, &lock), 0);
        assert_true(directory_is(directory, "lock", lock) && directory_is(parent, "made", directory));
        close(directory);
        close(lock);
        adopt_empty("made");
    }
    assert_int_equal(open_files(), files);
}

static void test_whoever_tidies_spares_another(void **state) {
    (void)state;
    int files = open_files();
    assert_int_equal(mkdirat(parent, ".made", 0700), 0);
    close(openat(parent, ".made/lock", O_RDWR | O_CREAT, 0600));
    before_unlink = make_another;
    tidy(NULL, ".made");
    assert_true(directory_is(parent, ".made/lock", lock_of_another));
    close(lock_of_another);

    before_unlink = find_it_locked;
    tidy(NULL, ".made");
    assert_null(before_unlink);
    assert_false(is_there(".made"));

    assert_int_equal(mkdirat(parent, ".made", 0700), 0);
    close(openat(parent, ".made/lock", O_RDWR | O_CREAT, 0600));
    before_flock = give_it_its_name;
    tidy(NULL, ".made");
    assert_true(is_there("made/lock"));
    adopt_empty("made");
    assert_int_equal(open_files(), files);
}

/* It takes an exclusive lock only on what is open for writing. */
static void test_taken_on_nfs(void **state) {
    (void)state;
    int directory, lock;
    assert_int_equal(directory_make_locked(parent, "made", &directory, &lock), 0);
    close(directory);
    close(lock);
    like_nfs = true;
    adopt_empty("made");
    like_nfs = false;
}

/* Somebody who may write there puts a link in its place. */
static void put_a_link(void) {
    lock_of_another = openat(parent, ".made/lock", O_RDWR);
    assert_int_equal(flock(lock_of_another, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(renameat(parent, ".made", parent, "moved"), 0);
    assert_int_equal(symlinkat("victim", parent, ".made"), 0);
}

static void test_no_link_is_followed(void **state) {
    (void)state;
    assert_int_equal(mkdirat(parent, "victim", 0700), 0);
    close(openat(parent, "victim/lock", O_RDWR | O_CREAT, 0600));
    int directory = 0, lock = 0;
    before_flock = put_a_link;
    assert_int_equal(directory_make_locked(parent, "made", &directory, &lock), EEXIST);
    assert_true(directory == -1 && lock == -1);
    close(lock_of_another);
    tidy(NULL, ".made");
    assert_int_equal(directory_take(parent, ".made", &directory, &lock), ENOTDIR);
    assert_true(is_there("victim/lock"));
    assert_int_equal(unlinkat(parent, ".made", 0), 0);
    adopt_empty("moved");
    adopt_empty("victim");
}

/* -- all at once --------------------------------------------------------------------------------------------------------- */

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
    assert_int_equal(stolen, 0);
    assert_int_equal(strange, 0);
    assert_in_range(made, MADE / 2, MADE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_killed_process_left_goes),
        cmocka_unit_test(test_what_is_being_made_stays),
        cmocka_unit_test(test_what_is_whole_stays),
        cmocka_unit_test(test_disturbed_while_it_is_made),
        cmocka_unit_test(test_whoever_tidies_spares_another),
        cmocka_unit_test(test_taken_on_nfs),
        cmocka_unit_test(test_no_link_is_followed),
        cmocka_unit_test(test_made_while_somebody_tidies),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
