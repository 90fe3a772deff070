#include "directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_DIRECTORY = O_RDONLY | O_DIRECTORY | O_CLOEXEC, ATTEMPTS = 3 };

/* A new directory is there for good when the one above it has been forced to the disk. */
static void make_one(char *path) {
    if (mkdir(path, 0700) != 0)
        return; /* where it fails for good, opening tells */
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    int parent = open(!slash ? "." : slash == path ? "/" : path, OPEN_DIRECTORY);
    if (slash)
        *slash = '/';
    if (parent < 0)
        return;
    fsync(parent);
    close(parent);
}

int directory_make_path(const char *path) {
    char part[PATH_MAX];
    int length = snprintf(part, sizeof part, "%s", path);
    if (length < 0 || (size_t)length >= sizeof part) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        make_one(part);
        *slash = '/';
    }
    make_one(part);
    return open(path, OPEN_DIRECTORY);
}

int directory_make_below(int parent, const char *name) {
    if (mkdirat(parent, name, 0700) != 0 && errno != EEXIST)
        return -1;
    return openat(parent, name, OPEN_DIRECTORY | O_NOFOLLOW);
}

/* Its last owner may have removed it just before, or somebody with a broom. */
bool directory_is(int parent, const char *name, int fd) {
    struct stat there, here;
    return fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &here) == 0 &&
           there.st_ino == here.st_ino && there.st_dev == here.st_dev;
}

int directory_sync(int directory) {
    return fsync(directory) == 0 || errno == EINVAL ? 0 : errno;
}

static int lock_in(int directory, int flags, int *lock) {
    *lock = openat(directory, "lock", flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (*lock < 0)
        return errno;
    int problem = flock(*lock, LOCK_EX | LOCK_NB) != 0 ? errno : 0;
    if (problem == 0 && !directory_is(directory, "lock", *lock))
        problem = EWOULDBLOCK;
    if (problem != 0) {
        close(*lock);
        *lock = -1;
    }
    return problem;
}

static int open_locked(int parent, const char *name, int flags, int *directory, int *lock) {
    *lock = -1;
    *directory = openat(parent, name, OPEN_DIRECTORY | O_NOFOLLOW);
    int problem = *directory < 0 ? errno : lock_in(*directory, flags, lock);
    if (problem != 0 && *directory >= 0) {
        close(*directory);
        *directory = -1;
    }
    return problem;
}

void directory_remove_unfinished(int parent, const char *name, int64_t before) {
    struct stat file;
    int directory, lock;
    if (*name != '.' || fstatat(parent, name, &file, AT_SYMLINK_NOFOLLOW) != 0 || file.st_mtime >= before ||
        open_locked(parent, name, O_RDWR | O_CREAT, &directory, &lock) != 0)
        return;
    /* It may have got its name just before. Or its maker, who found it locked, has made another under this one: that is not
     * empty, or missed at once. */
    if (directory_is(parent, name, directory) && unlinkat(directory, "lock", 0) == 0)
        unlinkat(parent, name, AT_REMOVEDIR);
    close(directory);
    close(lock);
}

static void remove_hidden(int parent, const char *hidden) {
    char lock[NAME_MAX + sizeof "/lock"];
    snprintf(lock, sizeof lock, "%s/lock", hidden);
    unlinkat(parent, lock, 0);
    unlinkat(parent, hidden, AT_REMOVEDIR);
}

/* It gets its name when it is locked: nobody who looks for orphans sees it before. */
static int make_locked(int parent, const char *hidden, const char *name, int *directory, int *lock) {
    if (mkdirat(parent, hidden, 0700) != 0)
        return errno;
    int problem = open_locked(parent, hidden, O_RDWR | O_CREAT, directory, lock);
    if (problem == 0 && renameat(parent, hidden, parent, name) != 0) {
        problem = errno;
        close(*directory);
        close(*lock);
        *directory = *lock = -1;
    }
    if (problem != 0)
        remove_hidden(parent, hidden);
    return problem;
}

/* Until it is locked, it may be taken for one that was left unfinished, by a file system's clock that is far from ours. */
int directory_make_locked(int parent, const char *name, int *directory, int *lock) {
    char hidden[NAME_MAX + 1];
    snprintf(hidden, sizeof hidden, ".%s", name);
    int problem = make_locked(parent, hidden, name, directory, lock);
    for (int i = 1; i < ATTEMPTS && (problem == EWOULDBLOCK || problem == ENOENT || problem == EEXIST); i++)
        problem = make_locked(parent, hidden, name, directory, lock);
    return problem;
}

int directory_take(int parent, const char *name, int *directory, int *lock) {
    /* Reading is enough to lock, so that a read-only spool can be taken as well. The lock is missing where its last owner
     * ended while removing the directory. */
    int problem = open_locked(parent, name, O_RDONLY, directory, lock);
    return problem == ENOENT ? open_locked(parent, name, O_RDWR | O_CREAT, directory, lock) : problem;
}

static int is_entry(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

bool directory_each(int directory, void (*visit)(void *context, const char *name), void *context) {
    struct dirent **entries;
    int count = scandirat(directory, ".", &entries, is_entry, alphasort);
    if (count < 0)
        return false;
    for (int i = 0; i < count; i++) {
        visit(context, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return true;
}

static void look_for_others(void *context, const char *name) {
    if (strcmp(name, "lock") != 0)
        *(bool *)context = true;
}

bool directory_holds_only_lock(int directory) {
    bool others = false;
    return directory_each(directory, look_for_others, &others) && !others;
}
