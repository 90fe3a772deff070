/* The signals that a server heeds: the thread that waits for them gets them, whatever the others do. */
#pragma once

#include <stdbool.h>

enum signals_wish {
    SIGNALS_RELOAD, /* SIGHUP */
    SIGNALS_END,    /* SIGTERM, SIGINT, and a SIGHUP that the kernel sends: the terminal is gone */
};

/* Before other threads start, so that all of them leave the signals to this one. Ignores SIGPIPE. */
void signals_block(void);

/* Waits for the next one. */
enum signals_wish signals_wait(void);

/* Waits for so long at most. Whether it is time to end; nothing else is heeded meanwhile. */
bool signals_end_within(int milliseconds);
