/* A layer between a tracker and its system (LD_PRELOAD): a disk that refuses, a clock that jumps, time that passes at once,
 * names of hosts that nobody tells, and a power cut.
 *
 *     CARBOND_TEST_LAYER    a file of five numbers of 8 bytes, read at each call: the errno with which everything that would
 *                           change the spool fails (0: none), the seconds by which the clock on the wall is wrong, those by
 *                           which the monotonic one is ahead, those that looking up a host's name takes, and those that the
 *                           disk takes for what is forced to it
 *     CARBOND_TEST_DURABLE  a directory, or nothing: keeps what a power cut would leave. A file's contents are there once it
 *                           was forced to the disk, a directory's names once the directory was: as files named after inode
 *                           number and time of birth (numbers are given again), a directory as lines of "INODE-BIRTH NAME"
 *
 * Both are about what is below CARBOND_TEST_DISK. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) (__extension__(__typeof__(&(name))) dlsym(RTLD_NEXT, #name))

enum { AT_ERRNO = 0, AT_SECONDS = 8, AT_AHEAD = 16, AT_NAMES = 24, AT_DISK = 32 };

static int64_t control(off_t at) {
    static int fd = -1;
    int64_t number = 0;
    const char *path = getenv("CARBOND_TEST_LAYER");
    if (fd < 0 && path)
        fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && pread(fd, &number, sizeof number, at) == sizeof number ? number : 0;
}

/* Whether a file or directory is on the disk that this is about. */
static bool concerns(int fd) {
    char descriptor[64], path[PATH_MAX];
    snprintf(descriptor, sizeof descriptor, "/proc/self/fd/%d", fd);
    ssize_t length =
        readlink(descriptor, path, sizeof path - 1); /* NOLINT(readability-suspicious-call-argument) */
    const char *disk = getenv("CARBOND_TEST_DISK");
    if (length < 0 || !disk)
        return false;
    path[length] = '\0';
    return strncmp(path, disk, strlen(disk)) == 0;
}

static bool refuses(int fd) {
    int problem = (int)control(AT_ERRNO);
    if (problem == 0 || !concerns(fd))
        return false;
    errno = problem;
    return true;
}

/* -- what is refused ----------------------------------------------------------------------------------------------------- */

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    return refuses(fd) ? -1 : REAL(pwrite)(fd, bytes, length, at);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    return refuses(fd) ? -1 : REAL(write)(fd, bytes, length);
}

int openat(int directory, const char *name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (flags & O_CREAT && refuses(directory))
        return -1;
    return REAL(openat)(directory, name, flags, mode);
}

int mkdirat(int directory, const char *name, mode_t mode) {
    return refuses(directory) ? -1 : REAL(mkdirat)(directory, name, mode);
}

int renameat(int from, const char *name, int to, const char *new_name) {
    return refuses(from) || refuses(to) ? -1 : REAL(renameat)(from, name, to, new_name);
}

/* A full disk, unlike one that is read-only, may still be emptied. */
static bool keeps(int fd) {
    return control(AT_ERRNO) != ENOSPC && refuses(fd);
}

int unlinkat(int directory, const char *name, int flags) {
    return keeps(directory) ? -1 : REAL(unlinkat)(directory, name, flags);
}

int ftruncate(int fd, off_t length) {
    return keeps(fd) ? -1 : REAL(ftruncate)(fd, length);
}

/* -- the clock ----------------------------------------------------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = REAL(clock_gettime)(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += control(AT_SECONDS);
    if (result == 0 && clock == CLOCK_MONOTONIC)
        now->tv_sec += control(AT_AHEAD);
    return result;
}

/* -- names of hosts ------------------------------------------------------------------------------------------------------ */

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **addresses) {
    sleep((unsigned)control(AT_NAMES));
    return REAL(getaddrinfo)(host, service, hints, addresses);
}

/* -- what a power cut leaves --------------------------------------------------------------------------------------------- */

/* Writes "INODE-BIRTH" of what NAME in a directory is, or of what is open if NAME is "". */
static bool identify(int fd, const char *name, char *identity, size_t size) {
    struct statx file;
    if (statx(fd, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &file) != 0)
        return false;
    snprintf(identity, size, "%ju-%jd.%09u", (uintmax_t)file.stx_ino, (intmax_t)file.stx_btime.tv_sec,
             file.stx_btime.tv_nsec);
    return true;
}

static void keep_file(int fd, FILE *to) {
    char bytes[65536];
    ssize_t length;
    for (off_t at = 0; (length = pread(fd, bytes, sizeof bytes, at)) > 0; at += length)
        fwrite(bytes, 1, (size_t)length, to);
}

static void keep_names(int fd, FILE *to) {
    int copy = REAL(openat)(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy >= 0 ? fdopendir(copy) : NULL;
    char identity[64];
    for (const struct dirent *entry; directory && (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            identify(fd, entry->d_name, identity, sizeof identity))
            fprintf(to, "%s %s\n", identity, entry->d_name);
    if (directory)
        closedir(directory);
}

/* Under another name first: the power may go while this is written. Two threads may be at one file. */
static void keep(int fd) {
    const char *durable = getenv("CARBOND_TEST_DURABLE");
    struct stat file;
    char identity[64], before[PATH_MAX], after[PATH_MAX];
    if (!durable || !concerns(fd) || fstat(fd, &file) != 0 || !identify(fd, "", identity, sizeof identity))
        return;
    snprintf(after, sizeof after, "%s/%s", durable, identity);
    snprintf(before, sizeof before, "%s/.%d", durable, gettid());
    FILE *to = fopen(before, "we");
    if (!to)
        abort();
    if (S_ISDIR(file.st_mode))
        keep_names(fd, to);
    else
        keep_file(fd, to);
    fclose(to);
    rename(before, after);
}

int fsync(int fd) {
    if (refuses(fd))
        return -1;
    sleep((unsigned)control(AT_DISK));
    keep(fd);
    return 0;
}

int fdatasync(int fd) {
    return fsync(fd);
}
