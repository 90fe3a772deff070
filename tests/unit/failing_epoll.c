/* Preloaded into a server (LD_PRELOAD): while the file that FAILING_EPOLL names begins with a byte that is not 0, no socket can
 * be added to an epoll, as when the user has as many as /proc/sys/fs/epoll/max_user_watches. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const volatile char *fails;

__attribute__((constructor)) static void open_switch(void) {
    const char *path = getenv("FAILING_EPOLL");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *page = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED)
        fails = page;
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    if (operation != EPOLL_CTL_ADD || !fails || !*fails)
        return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
    errno = ENOSPC;
    return -1;
}
