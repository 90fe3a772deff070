#include "backoff.h"

/* A server that asks for a year is not obeyed: a day. */
static const int64_t LONGEST_FLOOR = INT64_C(24) * 3600 * 1000;

void backoff_init(struct backoff *backoff, int64_t minimum, int64_t maximum) {
    *backoff = (struct backoff){.minimum = minimum, .maximum = maximum};
}

static int64_t ceiling(const struct backoff *backoff) {
    int64_t pause = backoff->minimum;
    for (unsigned i = 1; i < backoff->failures && pause < backoff->maximum; i++)
        pause *= 2;
    return pause < backoff->maximum ? pause : backoff->maximum;
}

void backoff_fail(struct backoff *backoff, int64_t now, int64_t retry_after, uint64_t random) {
    if (backoff->failures < 64)
        backoff->failures++;
    int64_t pause = 1 + (int64_t)(random % (uint64_t)ceiling(backoff));
    if (retry_after > LONGEST_FLOOR)
        retry_after = LONGEST_FLOOR;
    backoff->floor = retry_after > 0 ? now + retry_after : 0;
    /* The jitter comes on top of what the server asked for: it asked everybody. */
    backoff->due = (retry_after > 0 ? backoff->floor : now) + pause;
}

void backoff_reset(struct backoff *backoff) {
    backoff_init(backoff, backoff->minimum, backoff->maximum);
}

void backoff_hurry(struct backoff *backoff, int64_t now) {
    int64_t earliest = backoff->floor > now ? backoff->floor : now;
    if (backoff->due > earliest)
        backoff->due = earliest;
}

int64_t backoff_pause(const struct backoff *backoff, int64_t now) {
    return backoff->due > now ? backoff->due - now : 0;
}
