#include "api/batch_reader.h"

#include <jansson.h>
#include <string.h>

static const char LIST[] = "emissions";

/* Some programs begin every text with it. */
static const char BYTE_ORDER_MARK[] = "\xEF\xBB\xBF";

/* Of a member that nobody knows, or of a list that another one replaces; what is larger is taken for malformed rather
 * than parsed. */
enum { IGNORED_SIZE = 64 * 1024 };

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *skip_space(const char *at, const char *end) {
    while (at < end && is_space(*at))
        at++;
    return at;
}

bool batch_read_lines(const char *text, size_t size, batch_element *element, void *context) {
    const char *end = text + size;
    if (size >= strlen(BYTE_ORDER_MARK) && memcmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
        text += strlen(BYTE_ORDER_MARK);
    for (const char *line = text, *next; line < end; line = next) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *line_end = newline ? newline : end;
        next = newline ? newline + 1 : end;
        const char *begin = skip_space(line, line_end);
        if (begin < line_end && !element(context, begin, (size_t)(line_end - begin)))
            return false;
    }
    return true;
}

/* ---- where a value ends, if it is one: whether it is, is seen later */

static const char *end_of_string(const char *at, const char *end) {
    for (at++; at < end; at++) {
        if (*at == '\\')
            at++;
        else if (*at == '"')
            return at + 1;
    }
    return NULL;
}

static const char *end_of_brackets(const char *at, const char *end) {
    size_t depth = 0;
    while (at && at < end) {
        if (*at == '"') {
            at = end_of_string(at, end);
            continue;
        }
        if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']')
            depth--;
        at++;
        if (depth == 0)
            return at;
    }
    return NULL;
}

static const char *end_of_value(const char *at, const char *end) {
    if (at == end)
        return NULL;
    if (*at == '"')
        return end_of_string(at, end);
    if (*at == '{' || *at == '[')
        return end_of_brackets(at, end);
    const char *begin = at;
    while (at < end && !is_space(*at) && !strchr(",]}", *at))
        at++;
    return at > begin ? at : NULL;
}

/* ---- the document */

struct slice {
    const char *begin;
    const char *end;
};

static bool is_json(const char *begin, const char *end) {
    size_t size = (size_t)(end - begin);
    json_t *value = size <= IGNORED_SIZE
                        ? json_loadb(begin, size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL)
                        : NULL;
    json_decref(value);
    return value != NULL;
}

/* A name may be written with escapes. */
static bool is_list_name(const char *begin, const char *end, bool *is_name) {
    json_t *name = json_loadb(begin, (size_t)(end - begin), JSON_DECODE_ANY, NULL);
    *is_name = json_is_string(name);
    bool same = *is_name && strcmp(json_string_value(name), LIST) == 0;
    json_decref(name);
    return same;
}

/* Steps over `"name": value`. NULL if it is not well-formed. */
static const char *read_member(const char *at, const char *end, struct slice *list) {
    bool is_name = false;
    const char *name = at, *name_end = at < end && *at == '"' ? end_of_string(at, end) : NULL;
    if (!name_end || (size_t)(name_end - name) > IGNORED_SIZE)
        return NULL;
    bool is_list = is_list_name(name, name_end, &is_name);
    at = skip_space(name_end, end);
    if (!is_name || at == end || *at != ':')
        return NULL;
    at = skip_space(at + 1, end);
    const char *value_end = end_of_value(at, end);
    if (!value_end)
        return NULL;
    struct slice value = {at, value_end}, ignored = is_list ? *list : value;
    if (ignored.begin && !is_json(ignored.begin, ignored.end))
        return NULL;
    if (is_list)
        *list = value;
    return value_end;
}

/* Finds the list. False if the object around it is not well-formed. */
static bool find_list(const char *at, const char *end, struct slice *list) {
    at = skip_space(at, end);
    if (at == end || *at != '{')
        return false;
    at = skip_space(at + 1, end);
    bool more = at < end && *at != '}';
    while (more) {
        at = read_member(at, end, list);
        if (!at)
            return false;
        at = skip_space(at, end);
        more = at < end && *at == ',';
        if (more)
            at = skip_space(at + 1, end);
    }
    return at < end && *at == '}' && skip_space(at + 1, end) == end;
}

static enum batch_found read_list(struct slice list, batch_element *element, void *context) {
    const char *at = skip_space(list.begin + 1, list.end), *end = list.end;
    bool more = at < end && *at != ']';
    while (more) {
        const char *value_end = end_of_value(at, end);
        if (!value_end)
            return BATCH_MALFORMED;
        if (!element(context, at, (size_t)(value_end - at)))
            return BATCH_STOPPED;
        at = skip_space(value_end, end);
        more = at < end && *at == ',';
        if (more)
            at = skip_space(at + 1, end);
    }
    return at + 1 == end && *at == ']' ? BATCH_FOUND : BATCH_MALFORMED;
}

enum batch_found batch_read_document(const char *text, size_t size, batch_element *element, void *context) {
    struct slice list = {NULL, NULL};
    if (!find_list(text, text + size, &list))
        return BATCH_MALFORMED;
    if (!list.begin || *list.begin != '[')
        return BATCH_NO_LIST;
    return read_list(list, element, context);
}
