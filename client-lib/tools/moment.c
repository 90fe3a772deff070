#include "moment.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

enum { MICROSECONDS = 1000000 };

/* Digits beyond the microsecond are passed over. */
static const char *read_fraction(const char *text, int64_t *fraction) {
    int64_t unit = MICROSECONDS / 10;
    *fraction = 0;
    if (*text != '.')
        return text;
    if (!isdigit((unsigned char)*++text))
        return NULL;
    for (; isdigit((unsigned char)*text); text++, unit /= 10)
        *fraction += (*text - '0') * unit;
    return text;
}

static bool read_offset(const char *text, int64_t *seconds) {
    *seconds = 0;
    if (*text == '\0' || strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return true;
    if (strlen(text) != 6 || (*text != '+' && *text != '-') || text[3] != ':')
        return false;
    for (int i = 1; i < 6; i++)
        if (i != 3 && !isdigit((unsigned char)text[i]))
            return false;
    int hours = (text[1] - '0') * 10 + text[2] - '0', minutes = (text[4] - '0') * 10 + text[5] - '0';
    *seconds = (*text == '-' ? -1 : 1) * (hours * INT64_C(3600) + minutes * INT64_C(60));
    return hours < 24 && minutes < 60;
}

bool moment_parse(const char *text, int64_t *moment) {
    struct tm parts = {0};
    int64_t fraction, offset;
    const char *rest = strptime(text, "%Y-%m-%d", &parts);
    if (!rest || (*rest != 'T' && *rest != 't' && *rest != ' '))
        return false;
    rest = strptime(rest + 1, "%H:%M:%S", &parts);
    rest = rest ? read_fraction(rest, &fraction) : NULL;
    if (!rest || !read_offset(rest, &offset))
        return false;
    int day = parts.tm_mday;
    time_t seconds = timegm(&parts); /* makes the 3rd of March of the 31st of February */
    *moment = ((int64_t)seconds - offset) * MICROSECONDS + fraction;
    return parts.tm_mday == day;
}
