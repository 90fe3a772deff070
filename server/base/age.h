/* How old something may become, as people say it: 24months, 90days, 2years. */
#pragma once

#include <stdbool.h>

struct age {
    int count; /* 0: no limit */
    const char *unit;
};

/* The least that can be said: a month, whichever. */
#define AGE_LEAST "1month, 5weeks or 31days"

/* Understands a number and one of days, weeks, months and years (or day, week ...), from AGE_LEAST to a hundred years.
 * False if the text is none of these. */
bool age_parse(const char *text, struct age *age);

enum { AGE_TEXT_SIZE = 32 };

/* As PostgreSQL's interval reads it: `24 months`. */
void age_format(const struct age *age, char text[AGE_TEXT_SIZE]);
