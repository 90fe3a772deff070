#include "http/loop.h"

#include "base/thread.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    LOOK_AROUND = 1000, /* milliseconds */
    TURNS_IN_A_ROW = 16,
    MOMENT = 20,    /* milliseconds */
    LAST_TURNS = 3, /* to take up what was resumed last, to answer it, and to send that */
};

static void wake(struct http_loop *loop) {
    if (!atomic_exchange(&loop->woken, true))
        eventfd_write(loop->wake, 1);
}

/* libmicrohttpd has an eventfd of its own, but may have read it without a look at what was resumed. */
void http_loop_resume(struct http_loop *loop, struct MHD_Connection *connection) {
    MHD_resume_connection(connection);
    wake(loop);
}

/* From here on a wake-up counts for the next turn. */
static void note_wake(struct http_loop *loop) {
    eventfd_t ignored;
    eventfd_read(loop->wake, &ignored);
    atomic_store(&loop->woken, false);
}

void http_loop_progress(struct http_loop *loop) {
    loop->hurried = 0;
}

/* Without timeouts of its own libmicrohttpd only ever says whether it has more to do at once. */
static int pause_of(struct http_loop *loop) {
    unsigned long long pause;
    bool hurries = MHD_get_timeout(loop->daemon, &pause) == MHD_YES && pause == 0;
    loop->hurried = hurries ? loop->hurried + 1 : 0;
    loop->rested = loop->hurried == TURNS_IN_A_ROW;
    if (!hurries)
        return LOOK_AROUND;
    if (!loop->rested)
        return 0;
    loop->hurried = 0;
    return MOMENT;
}

static void turn(struct http_loop *loop) {
    struct pollfd watched[] = {
        {.fd = loop->epoll, .events = POLLIN},
        {.fd = loop->wake, .events = POLLIN},
        {.fd = loop->watch, .events = POLLIN},
    };
    int pause = pause_of(loop);
    if (pause != 0 && poll(watched, 3, pause) > 0 && watched[1].revents)
        note_wake(loop);
    loop->told = pause == 0 || watched[2].revents;
    MHD_run(loop->daemon);
}

static void *run(void *argument) {
    struct http_loop *loop = argument;
    while (!atomic_load(&loop->ending)) {
        if (atomic_exchange(&loop->quiescing, false))
            MHD_quiesce_daemon(loop->daemon);
        turn(loop);
        loop->look_around(loop->context);
    }
    loop->look_around(loop->context); /* with an end in sight, it takes back what it had suspended */
    for (int i = 0; i < LAST_TURNS; i++)
        MHD_run(loop->daemon);
    return NULL;
}

bool http_loop_start(struct http_loop *loop, struct MHD_Daemon *daemon, void (*look_around)(void *context),
                     void *context) {
    loop->daemon = daemon;
    loop->look_around = look_around;
    loop->context = context;
    loop->epoll = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake < 0)
        return false;
    if (thread_start(&loop->thread, "event", run, loop))
        return true;
    close(loop->wake);
    return false;
}

/* MHD_quiesce_daemon aborts the process if MHD_run meets it at the wrong moment: it is called between two turns. */
void http_loop_quiesce(struct http_loop *loop) {
    atomic_store(&loop->quiescing, true);
    wake(loop);
}

void http_loop_end(struct http_loop *loop) {
    atomic_store(&loop->ending, true);
    wake(loop);
    pthread_join(loop->thread, NULL);
    MHD_quiesce_daemon(loop->daemon);
    close(loop->wake);
}
