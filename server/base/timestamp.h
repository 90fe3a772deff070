/* Points in time, as PostgreSQL's timestamptz knows them: whole microseconds, here since 1970-01-01T00:00:00Z. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { TIMESTAMP_TEXT_SIZE = 33 };

/* Reads RFC 3339 (`2026-11-23T17:40:00.1+01:00`; `t`, `z` and a space for the `T` as well). Without an offset it is
 * UTC; a date alone is its midnight. Years 0001 to 9999 after the offset is applied; second 60 is taken as the next
 * minute's first; what is finer than a microsecond is cut off. False if `text` is anything else. */
bool timestamp_parse(const char *text, int64_t *timestamp);

/* Writes `2026-11-23T17:40:00.100000+00:00`. */
void timestamp_format(int64_t timestamp, char text[TIMESTAMP_TEXT_SIZE]);
