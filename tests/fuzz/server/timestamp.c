/* Timestamps: what is read is the time that the C library makes of the same numbers; what is written reads back, and is
 * in the same order as time; ids read back as well. */
#include "fuzz.h"

#include "base/id.h"
#include "base/timestamp.h"

#include <ctype.h>
#include <stdbool.h>
#include <time.h>

#define SECOND INT64_C(1000000)

static int two_digits(const char *at) {
    return 10 * (at[0] - '0') + at[1] - '0';
}

/* The offset at the end of the text, in seconds: +01:00. A date has no such end. */
static int offset_of(const char *text) {
    size_t length = strlen(text);
    const char *sign = text + length - 6;
    if (length < 25 || !strchr("+-", *sign))
        return 0;
    int offset = two_digits(sign + 1) * 3600 + two_digits(sign + 4) * 60;
    return *sign == '-' ? -offset : offset;
}

static int64_t fraction_of(const char *text) {
    const char *point = strchr(text, '.');
    int64_t fraction = 0;
    for (int i = 0; i < 6; i++)
        fraction = 10 * fraction + (point && isdigit((unsigned char)point[1]) ? *++point - '0' : 0);
    return fraction;
}

/* By another way: the C library's, on a text that is known to be well-formed. */
static int64_t read_otherwise(const char *text) {
    struct tm parts = {0};
    const char *end = strptime(text, "%Y-%m-%d", &parts);
    HOLDS(end != NULL);
    HOLDS(*end == '\0' || strptime(end + 1, "%H:%M:%S", &parts));
    return (timegm(&parts) - offset_of(text)) * SECOND + fraction_of(text);
}

static void check_written(int64_t timestamp, char written[TIMESTAMP_TEXT_SIZE]) {
    int64_t again;
    timestamp_format(timestamp, written);
    HOLDS(strlen(written) == TIMESTAMP_TEXT_SIZE - 1);
    HOLDS(timestamp_parse(written, &again) && again == timestamp);
}

/* Any two times of the years 1 to 9999. */
static void check_order(const uint8_t *data, size_t size) {
    static const int64_t first = INT64_C(-62135596800) * SECOND, last = INT64_C(253402300800) * SECOND - 1;
    char texts[2][TIMESTAMP_TEXT_SIZE];
    int64_t times[2];
    if (size < sizeof times)
        return;
    memcpy(times, data, sizeof times);
    for (int i = 0; i < 2; i++) {
        times[i] = first + (int64_t)((uint64_t)times[i] % (uint64_t)(last - first + 1));
        check_written(times[i], texts[i]);
    }
    int by_text = strcmp(texts[0], texts[1]);
    HOLDS((by_text < 0) == (times[0] < times[1]) && (by_text == 0) == (times[0] == times[1]));
}

static void check_id(const char *text) {
    struct id id, again;
    char written[ID_TEXT_SIZE];
    if (!id_parse(text, &id))
        return;
    id_format(&id, written);
    HOLDS(strcasecmp(text, written) == 0 && id_parse(written, &again) && memcmp(&id, &again, sizeof id) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size), written[TIMESTAMP_TEXT_SIZE];
    int64_t timestamp;
    if (timestamp_parse(text, &timestamp)) {
        HOLDS(timestamp == read_otherwise(text));
        check_written(timestamp, written);
    }
    check_order(data, size);
    check_id(text);
    free(text);
    return 0;
}
