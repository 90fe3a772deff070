#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

/* -1 with errno; otherwise how many bytes came before the end, or `room`. */
static ssize_t read_all(int fd, char *bytes, size_t room) {
    size_t size = 0;
    while (size < room) {
        ssize_t got = read(fd, bytes + size, room - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        size += (size_t)got;
    }
    return (ssize_t)size;
}

static bool is_at_end(int fd) {
    char more;
    return read_all(fd, &more, 1) == 0;
}

static ssize_t read_whole(int fd, char *bytes, size_t room, struct stat *about) {
    if (about && fstat(fd, about) != 0)
        return -1;
    ssize_t size = read_all(fd, bytes, room);
    if (size < (ssize_t)room || is_at_end(fd))
        return size;
    errno = EFBIG;
    return -1;
}

ssize_t file_read(const char *path, void *bytes, size_t room, struct stat *about) {
    /* A pipe that nobody writes to is empty: to wait for a writer would be for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    ssize_t size = fcntl(fd, F_SETFL, 0) == 0 ? read_whole(fd, bytes, room, about) : -1;
    int problem = errno;
    close(fd);
    errno = problem;
    return size;
}

size_t file_size_without_newline(const void *bytes, size_t size) {
    const char *text = bytes;
    if (size == 0 || text[size - 1] != '\n')
        return size;
    size--;
    return size > 0 && text[size - 1] == '\r' ? size - 1 : size;
}
