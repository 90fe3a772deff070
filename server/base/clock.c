#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

static int64_t microseconds(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0)
        abort(); /* only an unknown clock fails, and every Linux knows these two */
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

int64_t clock_monotonic(void) {
    return microseconds(CLOCK_MONOTONIC);
}

int64_t clock_now(void) {
    return microseconds(CLOCK_REALTIME);
}
