/* The two clocks: one that only goes forwards, by which everything waits, and the one on the wall, for what people read. */
#pragma once

#include <stdint.h>

/* Milliseconds since some moment in the past. Never 0. */
int64_t clock_monotonic(void);

/* Microseconds since 1970-01-01T00:00:00Z, as the system believes. */
int64_t clock_wall(void);

enum { CLOCK_TEXT_SIZE = 28 };

/* Writes `2026-11-23T17:40:00.100000Z`. Years 0001 to 9999. */
void clock_format(int64_t wall, char text[CLOCK_TEXT_SIZE]);

/* Whether clock_format can write it. */
int clock_is_writable(int64_t wall);
