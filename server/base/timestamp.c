#include "base/timestamp.h"

#include <stddef.h>

#define SECOND INT64_C(1000000)

enum { SECONDS_A_DAY = 86400 };

static const int64_t FIRST_SECOND = INT64_C(-62135596800); /* 0001-01-01T00:00:00Z */
static const int64_t LAST_SECOND = INT64_C(253402300799);  /* 9999-12-31T23:59:59Z */

/* Days since 1970-01-01, in the Gregorian calendar carried on backwards. Years begin in March here, so that the leap
 * day is a year's last; 400 of them, an era, always have 146097 days. */
static int64_t days_of_date(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of_days(int64_t days, int64_t *year, int64_t *month, int64_t *day) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * march_month + 2) / 5 + 1;
    *month = march_month < 10 ? march_month + 3 : march_month - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

static int days_in_month(int year, int month) {
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return DAYS[month - 1] + (month == 2 && leap);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The readers step over what they read, and return false where it is something else. */

static bool read_char(const char **text, char c) {
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

/* Exactly so many digits, for a number within the bounds. */
static bool read_number(const char **text, int digits, int minimum, int maximum, int *number) {
    *number = 0;
    for (int i = 0; i < digits; i++) {
        if (!is_digit(**text))
            return false;
        *number = *number * 10 + (*(*text)++ - '0');
    }
    return *number >= minimum && *number <= maximum;
}

static bool read_date(const char **text, int64_t *days) {
    int year, month, day;
    /* Year 0 may become year 1 by its offset. */
    if (!read_number(text, 4, 0, 9999, &year) || !read_char(text, '-') ||
        !read_number(text, 2, 1, 12, &month) || !read_char(text, '-') ||
        !read_number(text, 2, 1, days_in_month(year, month), &day))
        return false;
    *days = days_of_date(year, month, day);
    return true;
}

static bool read_fraction(const char **text, int64_t *microseconds) {
    if (!is_digit(**text))
        return false;
    *microseconds = 0;
    for (int64_t unit = SECOND / 10; is_digit(**text); unit /= 10)
        *microseconds += (*(*text)++ - '0') * unit;
    return true;
}

static bool read_time(const char **text, int64_t *seconds, int64_t *microseconds) {
    int hour, minute, second;
    if (!read_number(text, 2, 0, 23, &hour) || !read_char(text, ':') ||
        !read_number(text, 2, 0, 59, &minute) || !read_char(text, ':') ||
        !read_number(text, 2, 0, 60, &second))
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    *microseconds = 0;
    return !read_char(text, '.') || read_fraction(text, microseconds);
}

static bool read_offset(const char **text, int64_t *seconds) {
    *seconds = 0;
    if (**text == '\0' || read_char(text, 'Z') || read_char(text, 'z'))
        return true;
    int sign = **text == '-' ? -1 : 1;
    int hours, minutes;
    if (!(read_char(text, '+') || read_char(text, '-')) || !read_number(text, 2, 0, 23, &hours) ||
        !read_char(text, ':') || !read_number(text, 2, 0, 59, &minutes))
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool timestamp_parse(const char *text, int64_t *timestamp) {
    int64_t days, seconds = 0, microseconds = 0, offset = 0;
    if (!read_date(&text, &days))
        return false;
    if (*text != '\0') {
        if (!(read_char(&text, 'T') || read_char(&text, 't') || read_char(&text, ' ')) ||
            !read_time(&text, &seconds, &microseconds) || !read_offset(&text, &offset))
            return false;
    }
    seconds += days * SECONDS_A_DAY - offset;
    if (*text != '\0' || seconds < FIRST_SECOND || seconds > LAST_SECOND)
        return false;
    *timestamp = seconds * SECOND + microseconds;
    return true;
}

static char *write_number(char *text, int digits, int64_t number) {
    for (int i = digits - 1; i >= 0; i--, number /= 10)
        text[i] = (char)('0' + number % 10);
    return text + digits;
}

void timestamp_format(int64_t timestamp, char text[TIMESTAMP_TEXT_SIZE]) {
    const int64_t day_size = SECONDS_A_DAY * SECOND;
    int64_t days = timestamp / day_size - (timestamp % day_size < 0);
    int64_t rest = timestamp - days * day_size;
    int64_t seconds = rest / SECOND;
    int64_t year, month, day;
    date_of_days(days, &year, &month, &day);

    const struct {
        int64_t number;
        int digits;
        char after;
    } parts[] = {{year, 4, '-'},
                 {month, 2, '-'},
                 {day, 2, 'T'},
                 {seconds / 3600, 2, ':'},
                 {seconds / 60 % 60, 2, ':'},
                 {seconds % 60, 2, '.'},
                 {rest % SECOND, 6, '+'},
                 {0, 2, ':'},
                 {0, 2, '\0'}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        text = write_number(text, parts[i].digits, parts[i].number);
        *text++ = parts[i].after;
    }
}
