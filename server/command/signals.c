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

enum signals_wish signals_wait(void) {
    const sigset_t signals = heeded();
    siginfo_t about;
    int number;
    do
        number = sigwaitinfo(&signals, &about);
    while (number < 0);
    return number == SIGHUP && about.si_code != SI_KERNEL ? SIGNALS_RELOAD : SIGNALS_END;
}
