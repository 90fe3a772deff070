#include "command/signals.h"

#include <signal.h>

static sigset_t heeded(void) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    sigset_t signals;
    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&signals, numbers[i]);
    return signals;
}

void signals_block(void) {
    const sigset_t signals = heeded();
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static enum signals_wish wish(int number, const siginfo_t *about) {
    return number == SIGHUP && about->si_code != SI_KERNEL ? SIGNALS_RELOAD : SIGNALS_END;
}

enum signals_wish signals_wait(void) {
    const sigset_t signals = heeded();
    siginfo_t about;
    int number;
    do
        number = sigwaitinfo(&signals, &about);
    while (number < 0);
    return wish(number, &about);
}

bool signals_end_within(int milliseconds) {
    const sigset_t signals = heeded();
    const struct timespec pause = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
    siginfo_t about;
    int number = sigtimedwait(&signals, &about, &pause);
    return number > 0 && wish(number, &about) == SIGNALS_END;
}
