/* Decimal numbers as doubles, in a few nanoseconds for nearly all that people and programs write. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* digits * 10^exponent, rounded to the nearest double as strtod does. False where it cannot tell: ask strtod then. */
bool decimal_to_double(uint64_t digits, int exponent, double *value);
