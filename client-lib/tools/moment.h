/* Moments as people and JSON write them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Reads RFC 3339 ("2026-11-23T17:40:00.25+01:00"; without an offset it is UTC) as microseconds since 1970. False for anything
 * else. */
bool moment_parse(const char *text, int64_t *moment);
