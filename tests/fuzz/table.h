/* What the table of members promises of the arguments that come out of a validation without a fault. */
#pragma once

#include "fuzz.h"

#include "api/arguments.h"
#include "api/faults.h"
#include "api/members.h"
#include "base/timestamp.h"

#include <math.h>
#include <stdbool.h>

static inline bool holds_bounds(const struct member *member, double value) {
    return (!(member->bounds & MEMBER_AT_LEAST) || value >= member->minimum) &&
           (!(member->bounds & MEMBER_ABOVE) || value > member->minimum) &&
           (!(member->bounds & MEMBER_AT_MOST) || value <= member->maximum);
}

static inline bool holds_id(const char *text) {
    struct id id;
    char normal[ID_TEXT_SIZE];
    if (!text || !id_parse(text, &id))
        return false;
    id_format(&id, normal);
    return strcmp(text, normal) == 0;
}

static inline bool holds_timestamp(const char *text) {
    int64_t timestamp;
    char normal[TIMESTAMP_TEXT_SIZE];
    if (!text || !timestamp_parse(text, &timestamp))
        return false;
    timestamp_format(timestamp, normal);
    return strcmp(text, normal) == 0;
}

static inline bool holds_number(const struct member *member, const char *text) {
    char *end;
    double value = strtod(text, &end);
    bool whole = member->type != MEMBER_INTEGER || text[strspn(text, "-0123456789")] == '\0';
    return *text && !*end && whole && isfinite(value) && holds_bounds(member, value);
}

/* PostgreSQL takes any UTF-8; jansson is asked whether it is that, and counts otherwise than the table does. */
static inline bool holds_text(const struct member *member, const char *text) {
    json_t *string = json_string(text);
    size_t characters = 0;
    for (const char *at = text; string && *at; characters++)
        at += (unsigned char)*at < 0x80   ? 1
              : (unsigned char)*at < 0xE0 ? 2
              : (unsigned char)*at < 0xF0 ? 3
                                          : 4;
    bool well = string && holds_bounds(member, (double)characters);
    json_decref(string);
    return well && (member->type != MEMBER_EMAIL || strchr(text, '@'));
}

static inline bool holds_value(const struct member *member, const char *value) {
    switch (member->type) {
    case MEMBER_UUID: return holds_id(value);
    case MEMBER_TIMESTAMP: return holds_timestamp(value);
    case MEMBER_NUMBER:
    case MEMBER_INTEGER: return holds_number(member, value);
    case MEMBER_BOOLEAN: return strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
    default: return holds_text(member, value);
    }
}

static inline const char *table_value(const struct member *member, const struct arguments *arguments) {
    return arguments_get(arguments, member->argument ? member->argument : member->name);
}

static inline void table_holds(const struct member *members, const struct arguments *arguments) {
    for (const struct member *member = members; member->name; member++) {
        const char *value = table_value(member, arguments);
        if (value)
            HOLDS(holds_value(member, value));
        else
            HOLDS((!member->required || member->nullable) && !member->fallback && !member->make);
    }
}

/* What a client is told: {"loc": [place, name], "msg": ..., "type": ...}, once for each fault. */
static inline void faults_hold(const struct faults *faults, const char *place) {
    size_t i;
    json_t *fault;
    HOLDS(!faults->failed);
    json_array_foreach(faults->list, i, fault) {
        const char *told = json_string_value(json_array_get(json_object_get(fault, "loc"), 0));
        HOLDS(told && strcmp(told, place) == 0);
        HOLDS(*json_string_value(json_object_get(fault, "msg")));
        HOLDS(*json_string_value(json_object_get(fault, "type")));
    }
}
