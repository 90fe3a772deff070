/* Deadlines, to the second: a wheel of slots, one a second, each with the deadlines that are due then (or a whole turn of
 * the wheel later). Setting, moving and clearing one costs the same however many there are. No lock: a wheel belongs to
 * one thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { DEADLINE_SLOTS = 256 };

/* Part of what has the deadline. Zero-initialised it is not set. */
struct deadline {
    struct deadline *next, *previous; /* in its slot; NULL: not set */
    int64_t due;
};

struct deadline_wheel {
    struct deadline slots[DEADLINE_SLOTS]; /* heads of rings */
    int64_t passed;                        /* all slots up to this second are done with */
    int64_t away;                          /* seconds that it is behind the clock */
    size_t set;                            /* deadlines */
};

/* The clock: seconds, monotonic. */
int64_t deadline_clock(void);

void deadline_wheel_init(struct deadline_wheel *wheel, int64_t clock);

/* The wheel's time, which all other times here are, when the clock says this. It goes on by two seconds at most until what
 * has passed is taken, which is to be done once a second: who is slower than that was stopped (SIGSTOP, a paused container or
 * machine) or had no processor, and nobody else is late for it. */
int64_t deadline_look(struct deadline_wheel *wheel, int64_t clock);

/* The second in which so many whole ones will have passed. */
int64_t deadline_in(struct deadline_wheel *wheel, int64_t clock, int seconds);

/* Sets or moves it. What is due already comes up a second later. */
void deadline_set(struct deadline_wheel *wheel, struct deadline *deadline, int64_t due);
void deadline_clear(struct deadline_wheel *wheel, struct deadline *deadline);

/* Takes a deadline that has passed off the wheel; NULL when there is none any more. */
struct deadline *deadline_take(struct deadline_wheel *wheel, int64_t now);
