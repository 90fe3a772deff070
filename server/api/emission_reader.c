#include "api/emission_reader.h"

#include "base/decimal.h"
#include "base/timestamp.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- the members */

static int number_of(const char *name) {
    for (int i = 0; i < EMISSION_NUMBERS; i++)
        if (strcmp(emission_number_names[i], name) == 0)
            return i;
    return -1;
}

void emission_reader_init(struct emission_reader *reader, const struct body *body) {
    *reader = (struct emission_reader){0};
    size_t count = 0;
    for (int i = 0; i < EMISSION_NUMBERS; i++)
        reader->defaults.numbers[i] = NAN;
    for (const struct member *member = body->members; member->name; member++, count++) {
        if (count == EMISSION_MEMBERS)
            abort();
        int number = number_of(member->name);
        reader->members[count] = (struct emission_member){member, strlen(member->name), number};
        if (member->required)
            reader->required |= 1U << count;
        if (strcmp(member->name, "id") == 0)
            reader->id = count;
        if (number >= 0 && member->fallback)
            reader->defaults.numbers[number] = strtod(member->fallback, NULL);
    }
    if (count != EMISSION_MEMBERS)
        abort();
}

void emission_of_arguments(const struct arguments *arguments, struct emission *emission) {
    const char *time = arguments_get(arguments, "timestamp");
    if (!id_parse(arguments_get(arguments, "id"), &emission->id) ||
        !id_parse(arguments_get(arguments, "run_id"), &emission->run) ||
        !timestamp_parse(time, &emission->timestamp))
        abort(); /* they are validated */
    for (int i = 0; i < EMISSION_NUMBERS; i++) {
        const char *value = arguments_get(arguments, emission_number_names[i]);
        emission->numbers[i] = value ? strtod(value, NULL) : NAN;
    }
}

/* ---- the text: each function steps over what it reads, and is false where something else stands */

struct text {
    const char *at;
    const char *end;
};

static void skip_space(struct text *text) {
    while (text->at < text->end &&
           (*text->at == ' ' || *text->at == '\n' || *text->at == '\t' || *text->at == '\r'))
        text->at++;
}

static bool read_char(struct text *text, char c) {
    skip_space(text);
    if (text->at == text->end || *text->at != c)
        return false;
    text->at++;
    return true;
}

static bool read_word(struct text *text, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(text->end - text->at) < length || memcmp(text->at, word, length) != 0)
        return false;
    text->at += length;
    return true;
}

/* A string without escapes and beyond ASCII without a character: its bytes are its value. */
static bool read_string(struct text *text, const char **value, size_t *length) {
    if (!read_char(text, '"'))
        return false;
    const char *begin = text->at;
    for (; text->at < text->end; text->at++) {
        unsigned char c = (unsigned char)*text->at;
        if (c == '"') {
            *value = begin;
            *length = (size_t)(text->at++ - begin);
            return true;
        }
        if (c < 0x20 || c >= 0x80 || c == '\\')
            return false;
    }
    return false;
}

static bool is_digit(const struct text *text) {
    return text->at < text->end && *text->at >= '0' && *text->at <= '9';
}

/* A number without its point: digits * 10^exponent. */
struct decimal {
    uint64_t digits;
    int significant; /* digits behind the leading zeros: beyond 19 they may not fit */
    int exponent;
};

/* Returns how many there are. */
static int read_digits(struct text *text, struct decimal *decimal) {
    int count = 0;
    for (; is_digit(text); text->at++, count++) {
        decimal->digits = decimal->digits * 10 + (uint64_t)(*text->at - '0');
        decimal->significant += decimal->significant > 0 || *text->at != '0';
    }
    return count;
}

static bool read_fraction(struct text *text, struct decimal *decimal) {
    if (text->at == text->end || *text->at != '.')
        return true;
    text->at++;
    int count = read_digits(text, decimal);
    decimal->exponent -= count;
    return count > 0;
}

static bool read_exponent(struct text *text, struct decimal *decimal) {
    struct decimal exponent = {0};
    if (text->at == text->end || (*text->at != 'e' && *text->at != 'E'))
        return true;
    text->at++;
    bool negative = text->at < text->end && *text->at == '-';
    if (negative || (text->at < text->end && *text->at == '+'))
        text->at++;
    int count = read_digits(text, &exponent);
    if (count == 0 || count > 3)
        return false;
    decimal->exponent += negative ? -(int)exponent.digits : (int)exponent.digits;
    return true;
}

/* As JSON spells numbers; none of ours may be negative. */
static bool read_number(struct text *text, double *value) {
    const char *begin = text->at;
    struct decimal decimal = {0};
    int whole = read_digits(text, &decimal);
    if (whole == 0 || (whole > 1 && *begin == '0') || !read_fraction(text, &decimal) ||
        !read_exponent(text, &decimal))
        return false;
    if (decimal.significant > 19 || !decimal_to_double(decimal.digits, decimal.exponent, value))
        *value = strtod(begin, NULL);
    return isfinite(*value);
}

/* ---- the object */

static bool is_in_bounds(const struct member *member, double value) {
    return !((member->bounds & MEMBER_ABOVE) && !(value > member->minimum)) &&
           !((member->bounds & MEMBER_AT_LEAST) && !(value >= member->minimum)) &&
           !((member->bounds & MEMBER_AT_MOST) && !(value <= member->maximum));
}

/* The parsers of ids and times want a NUL at the end. */
static bool copy_text(const char *value, size_t length, char out[48]) {
    if (length >= 48)
        return false;
    memcpy(out, value, length);
    out[length] = '\0';
    return true;
}

static bool take_string(const struct member *member, const char *value, size_t length,
                        struct emission *emission) {
    char copy[48];
    if (!copy_text(value, length, copy))
        return false;
    switch (member->type) {
    case MEMBER_TIMESTAMP: return timestamp_parse(copy, &emission->timestamp);
    case MEMBER_UUID: return id_parse(copy, strcmp(member->name, "id") == 0 ? &emission->id : &emission->run);
    default: return false;
    }
}

static bool take_value(const struct emission_member *member, struct text *text, struct emission *emission) {
    const char *value;
    size_t length;
    if (member->number < 0)
        return read_string(text, &value, &length) && take_string(member->member, value, length, emission);
    double *number = &emission->numbers[member->number];
    return read_number(text, number) && is_in_bounds(member->member, *number);
}

/* Null is as good as absent; where something is required, it must be allowed. */
static bool take_null(const struct emission_reader *reader, size_t index, struct emission *emission,
                      unsigned *seen) {
    const struct emission_member *member = &reader->members[index];
    if (member->member->required && !member->member->nullable)
        return false;
    if (member->member->required)
        *seen |= 1U << index;
    else
        *seen &= ~(1U << index);
    if (member->number >= 0)
        emission->numbers[member->number] = reader->defaults.numbers[member->number];
    return true;
}

/* Members come in the same order again and again: the search begins behind the last one. */
static size_t find_member(const struct emission_reader *reader, const char *name, size_t length,
                          size_t from) {
    for (size_t i = 0; i < EMISSION_MEMBERS; i++) {
        size_t index = (from + i) % EMISSION_MEMBERS;
        const struct emission_member *member = &reader->members[index];
        if (member->name_length == length && memcmp(member->member->name, name, length) == 0)
            return index;
    }
    return EMISSION_MEMBERS;
}

/* The value of a member that nobody knows. */
static bool skip_value(struct text *text) {
    const char *value;
    size_t length;
    double number;
    if (text->at < text->end && *text->at == '"')
        return read_string(text, &value, &length);
    return read_word(text, "null") || read_word(text, "true") || read_word(text, "false") ||
           read_number(text, &number);
}

static bool read_member(const struct emission_reader *reader, struct text *text, struct emission *emission,
                        unsigned *seen, size_t *next) {
    const char *name;
    size_t length;
    if (!read_string(text, &name, &length) || !read_char(text, ':'))
        return false;
    skip_space(text);
    size_t index = find_member(reader, name, length, *next);
    if (index == EMISSION_MEMBERS)
        return skip_value(text);
    *next = index + 1;
    if (read_word(text, "null"))
        return take_null(reader, index, emission, seen);
    *seen |= 1U << index;
    return take_value(&reader->members[index], text, emission);
}

static bool read_object(const struct emission_reader *reader, struct text *text, struct emission *emission,
                        unsigned *seen) {
    size_t next = 0;
    if (!read_char(text, '{'))
        return false;
    do
        if (!read_member(reader, text, emission, seen, &next))
            return false;
    while (read_char(text, ','));
    if (!read_char(text, '}'))
        return false;
    skip_space(text);
    return text->at == text->end;
}

bool emission_read(const struct emission_reader *reader, const char *text, size_t size,
                   struct emission *emission, bool *has_id) {
    struct text rest = {text, text + size};
    unsigned seen = 0;
    *emission = reader->defaults;
    if (!read_object(reader, &rest, emission, &seen) || (seen & reader->required) != reader->required)
        return false;
    *has_id = seen & 1U << reader->id;
    if (!*has_id)
        emission->id = reader->members[reader->id].member->make();
    return true;
}
