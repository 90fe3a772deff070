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
        unlinkat(parent, name, AT_REMOVEDIR) == 0 ||
        open_locked(parent, name, O_RDWR, &directory, &lock) != 0)
        return;
    /* By now it may have its final name. Or its maker found it locked, removed it and made another of that name: it is not
     * empty, or its maker misses it and tries again. */
    bool emptied = directory_is(parent, name, directory) && unlinkat(directory, "lock", 0) == 0;
    close(directory);
    close(lock); /* NFS keeps what is open in the directory, under another name */
    if (emptied)
        unlinkat(parent, name, AT_REMOVEDIR);
}

static void remove_hidden(int parent, const char *hidden) {
    int directory = openat(parent, hidden, OPEN_DIRECTORY | O_NOFOLLOW);
    if (directory >= 0) {
        unlinkat(directory, "lock", 0);
        close(directory);
    }
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

static bool is_disturbed(int problem) {
    return problem == EWOULDBLOCK || problem == ENOENT || problem == EEXIST || problem == ESTALE;
}

/* Until it is locked, others may think that it was left behind, by a file system's clock that is far from theirs. */
int directory_make_locked(int parent, const char *name, int *directory, int *lock) {
    char hidden[NAME_MAX + 1];
    snprintf(hidden, sizeof hidden, ".%s", name);
    *directory = *lock = -1;
    int problem = make_locked(parent, hidden, name, directory, lock);
    for (int i = 1; i < ATTEMPTS && is_disturbed(problem); i++)
        problem = make_locked(parent, hidden, name, directory, lock);
    return problem;
}

int directory_take(int parent, const char *name, int *directory, int *lock) {
    /* The lock is missing where its last owner ended while removing the directory. NFS locks only what is open for writing;
     * elsewhere reading is enough, so that a read-only spool can be taken as well. */
    int problem = open_locked(parent, name, O_RDWR | O_CREAT, directory, lock);
    bool is_read_only = problem == EROFS || problem == EACCES;
    return is_read_only ? open_locked(parent, name, O_RDONLY, directory, lock) : problem;
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
