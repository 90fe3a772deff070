#include "clock.h"

#include <stdio.h>
#include <time.h>

_Static_assert(sizeof(time_t) == 8,
               "years beyond 2038: 32-bit systems need -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64");

#define SECOND INT64_C(1000000)

static const int64_t FIRST = INT64_C(-62135596800) * SECOND;             /* 0001-01-01T00:00:00Z */
static const int64_t LAST = INT64_C(253402300799) * SECOND + SECOND - 1; /* 9999-12-31T23:59:59.999999Z */

int64_t clock_monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

int64_t clock_wall(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec / 1000;
}

int clock_is_writable(int64_t wall) {
    return wall >= FIRST && wall <= LAST;
}

static char *write_digits(char *text, int digits, int64_t number, char after) {
    for (int i = digits - 1; i >= 0; i--, number /= 10)
        text[i] = (char)('0' + number % 10);
    text[digits] = after;
    return text + digits + 1;
}

void clock_format(int64_t wall, char text[CLOCK_TEXT_SIZE]) {
    int64_t fraction = wall % SECOND;
    time_t seconds = (time_t)(wall / SECOND);
    if (fraction < 0) {
        fraction += SECOND;
        seconds--;
    }
    struct tm parts;
    gmtime_r(&seconds, &parts);
    text = write_digits(text, 4, parts.tm_year + INT64_C(1900), '-');
    text = write_digits(text, 2, parts.tm_mon + 1, '-');
    text = write_digits(text, 2, parts.tm_mday, 'T');
    text = write_digits(text, 2, parts.tm_hour, ':');
    text = write_digits(text, 2, parts.tm_min, ':');
    text = write_digits(text, 2, parts.tm_sec, '.');
    text = write_digits(text, 6, fraction, 'Z');
    *text = '\0';
}
