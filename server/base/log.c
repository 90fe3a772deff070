#include "base/log.h"

#include "base/clock.h"
#include "base/timestamp.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_SIZE = 8192,
    LINE_ROOM =
        LINE_SIZE - 3, /* the quote, brace and newline that end a line always fit, even one that is cut */
};

struct line {
    size_t size;
    bool cut; /* something did not fit: nothing more is put */
    char text[LINE_SIZE];
};

static const char *const LEVELS[] = {[LOG_LEVEL_ERROR] = "error",
                                     [LOG_LEVEL_WARN] = "warn",
                                     [LOG_LEVEL_INFO] = "info",
                                     [LOG_LEVEL_DEBUG] = "debug"};

static enum log_level configured_level = LOG_LEVEL_INFO;
static enum log_format configured_format = LOG_FORMAT_LOGFMT;

void log_configure(enum log_level level, enum log_format format) {
    configured_level = level;
    configured_format = format;
}

bool log_enabled(enum log_level level) {
    return level <= configured_level;
}

struct log_number log_number(long long number) {
    struct log_number result;
    snprintf(result.text, sizeof result.text, "%lld", number);
    return result;
}

/* All of it or nothing, so that no cut goes through an escape or a character. */
static void put(struct line *line, const char *data, size_t size) {
    if (line->cut || line->size + size > LINE_ROOM) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->size, data, size);
    line->size += size;
}

static void put_text(struct line *line, const char *text) {
    put(line, text, strlen(text));
}

static void put_end(struct line *line, char c) {
    line->text[line->size++] = c;
}

/* The size of the UTF-8 character that begins here; 0 if none does. U+0080 to U+009F, which terminals may obey, are
 * not taken for characters. */
static size_t character_size(const unsigned char *text) {
    /* clang-format off */
    static const struct { unsigned char first, last, second_first, second_last, size; } FORMS[] = {
        {0xc2, 0xc2, 0xa0, 0xbf, 2}, {0xc3, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    /* clang-format on */
    if (text[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        if (text[0] < FORMS[i].first || text[0] > FORMS[i].last)
            continue;
        if (text[1] < FORMS[i].second_first || text[1] > FORMS[i].second_last)
            return 0;
        for (size_t j = 2; j < FORMS[i].size; j++)
            if ((text[j] & 0xc0) != 0x80)
                return 0;
        return FORMS[i].size;
    }
    return 0;
}

/* Puts one character, escaped as in a JSON string where it must be; returns how many bytes of `text` it was. */
static size_t put_character(struct line *line, const unsigned char *text) {
    static const char *const SHORT[256] = {
        ['"'] = "\\\"", ['\\'] = "\\\\", ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t"};
    size_t size = character_size(text);
    char escape[8];
    if (size == 0) {
        put_text(line, "\xef\xbf\xbd"); /* U+FFFD, the replacement character */
        return 1;
    }
    if (SHORT[*text]) {
        put_text(line, SHORT[*text]);
    } else if (*text < ' ' || *text == 0x7f) {
        snprintf(escape, sizeof escape, "\\u%04x", *text);
        put_text(line, escape);
    } else {
        put(line, (const char *)text, size);
    }
    return size;
}

/* How much of the text stands for itself, a byte a character. */
static size_t bare_length(const unsigned char *text) {
    size_t length = 0;
    while (text[length] >= ' ' && text[length] < 0x7f && text[length] != '"' && text[length] != '\\')
        length++;
    return length;
}

/* Nearly all texts are bare: those are put whole, or as much of them as fits. */
static void put_characters(struct line *line, const char *text) {
    for (const unsigned char *at = (const unsigned char *)text; *at && !line->cut;) {
        size_t bare = bare_length(at), room = LINE_ROOM - line->size;
        if (bare == 0) {
            at += put_character(line, at);
            continue;
        }
        put(line, (const char *)at, bare < room ? bare : room);
        line->cut |= bare > room;
        at += bare;
    }
}

static void put_quoted(struct line *line, const char *text) {
    put_text(line, "\"");
    if (line->cut)
        return;
    put_characters(line, text);
    put_end(line, '"');
}

static bool is_plain(const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    while (*at > ' ' && *at != '=' && *at != '"' && *at != '\\' && *at != 0x7f && character_size(at) > 0)
        at += character_size(at);
    return *text && !*at;
}

static void put_value(struct line *line, const char *text) {
    if (configured_format == LOG_FORMAT_LOGFMT && is_plain(text))
        put_characters(line, text);
    else
        put_quoted(line, text);
}

static void put_key(struct line *line, const char *key) {
    if (configured_format == LOG_FORMAT_JSON) {
        put_text(line, line->size == 0 ? "{" : ",");
        put_quoted(line, key);
        put_text(line, ":");
    } else {
        put_text(line, line->size == 0 ? "" : " ");
        put_text(line, key);
        put_text(line, "=");
    }
}

static void put_pair(struct line *line, const char *key, const char *text) {
    size_t before = line->size;
    if (line->cut)
        return;
    put_key(line, key);
    size_t value = line->size;
    put_value(line, text);
    if (line->size == value)
        line->size = before; /* a key without a value would not be JSON */
}

static void put_time(struct line *line) {
    char time[TIMESTAMP_TEXT_SIZE];
    timestamp_format(clock_now(), time);
    memcpy(time + strlen("2026-11-23T17:40:00.123"), "Z", sizeof "Z");
    put_pair(line, "ts", time);
}

static void write_line(const struct line *line) {
    for (size_t done = 0; done < line->size;) {
        ssize_t written = write(STDERR_FILENO, line->text + done, line->size - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* there is nowhere to complain */
        done += (size_t)written;
    }
}

void log_write(enum log_level level, const char *message, ...) {
    if (!log_enabled(level))
        return;
    int saved = errno; /* who logs an error may still look at it afterwards */
    struct line line;
    line.size = 0;
    line.cut = false;
    put_time(&line);
    put_pair(&line, "level", LEVELS[level]);
    put_pair(&line, "msg", message);

    va_list pairs;
    va_start(pairs, message);
    for (const char *key; (key = va_arg(pairs, const char *));) {
        const char *text = va_arg(pairs, const char *);
        if (text)
            put_pair(&line, key, text);
    }
    va_end(pairs);

    if (configured_format == LOG_FORMAT_JSON)
        put_end(&line, '}');
    put_end(&line, '\n');
    write_line(&line);
    errno = saved;
}
