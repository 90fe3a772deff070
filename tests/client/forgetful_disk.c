/* Preloaded into a tracker (LD_PRELOAD): notes in the directory that FORGETFUL_DISK names what would survive a power cut.
 *
 *     INODE.file    the bytes of a file when it was last forced to the disk
 *     INODE.dir     the inode and name of each entry of a directory when it was last forced to the disk
 *
 * Everything else is what a disk may forget. tests/client/test_power.py puts the pieces together. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what) {
    perror(what);
    abort();
}

static void copy_file(int from, FILE *to) {
    char path[64], bytes[65536];
    ssize_t length;
    snprintf(path, sizeof path, "/proc/self/fd/%d", from);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die("forgetful_disk: open");
    while ((length = read(fd, bytes, sizeof bytes)) > 0)
        if (fwrite(bytes, 1, (size_t)length, to) != (size_t)length)
            die("forgetful_disk: write");
    close(fd);
}

static void list_directory(int from, FILE *to) {
    int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory)
        die("forgetful_disk: opendir");
    for (const struct dirent *entry; (entry = readdir(directory));)
        fprintf(to, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
    closedir(directory);
}

/* The note is there whole or not at all, whenever the tracker is killed. */
static void note(int fd) {
    const char *notes = getenv("FORGETFUL_DISK");
    char path[4096], beside[4096];
    struct stat what;
    if (!notes || fstat(fd, &what) != 0)
        return;
    pthread_mutex_lock(&lock);
    snprintf(path, sizeof path, "%s/%lu.%s", notes, (unsigned long)what.st_ino,
             S_ISDIR(what.st_mode) ? "dir" : "file");
    snprintf(beside, sizeof beside, "%s/beside", notes);
    FILE *file = fopen(beside, "we");
    if (!file)
        die("forgetful_disk: fopen");
    if (S_ISDIR(what.st_mode))
        list_directory(fd, file);
    else
        copy_file(fd, file);
    if (fclose(file) != 0 || rename(beside, path) != 0)
        die("forgetful_disk: rename");
    pthread_mutex_unlock(&lock);
}

int fsync(int fd) {
    int result = (int)syscall(SYS_fsync, fd);
    note(fd);
    return result;
}

int fdatasync(int fd) {
    int result = (int)syscall(SYS_fdatasync, fd);
    note(fd);
    return result;
}
