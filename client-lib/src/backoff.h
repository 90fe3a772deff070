/* When to try again: exponential backoff with full jitter. A failure's pause is drawn evenly from 1 ms to a ceiling that
 * doubles with each failure in a row, so that clients that failed together don't come back together. */
#pragma once

#include <stdint.h>

struct backoff {
    int64_t minimum, maximum; /* ms: the first ceiling, and the last */
    unsigned failures;        /* in a row */
    int64_t due;              /* by the monotonic clock: the next attempt; 0: at once */
    int64_t floor;            /* never earlier: what the server asked for */
};

void backoff_init(struct backoff *backoff, int64_t minimum, int64_t maximum);

/* An attempt failed at `now`. `retry_after`: ms that the server asked for, else 0. `random`: any number. */
void backoff_fail(struct backoff *backoff, int64_t now, int64_t retry_after, uint64_t random);

/* An attempt succeeded. */
void backoff_reset(struct backoff *backoff);

/* Somebody waits: what is due later is due at once, but for the floor. */
void backoff_hurry(struct backoff *backoff, int64_t now);

/* ms from `now` to the next attempt; 0: due. */
int64_t backoff_pause(const struct backoff *backoff, int64_t now);
