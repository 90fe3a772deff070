/* The two clocks. Deadlines and durations use the monotonic one; only what people read uses the other. */
#pragma once

#include <stdint.h>

/* Microseconds since some fixed point in the past; never jumps. */
int64_t clock_monotonic(void);

/* Microseconds since 1970-01-01T00:00:00Z. */
int64_t clock_now(void);
