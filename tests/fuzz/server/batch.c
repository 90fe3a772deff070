/* A batch taken apart without a tree, against jansson, which builds one: they take the same documents and find the same
 * elements; lines are those that a plain split finds. */
#include "fuzz.h"

#include "api/batch_reader.h"

#include <jansson.h>

enum { FLAGS = JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY };

/* As the server does it: an element that is no JSON stops the reading. */
static bool take(void *elements, const char *text, size_t size) {
    json_t *element = json_loadb(text, size, FLAGS, NULL);
    return element && json_array_append_new(elements, element) == 0;
}

/* jansson overlooks a NUL behind a number; we do not. */
static void check_document(const char *text, size_t size) {
    json_t *elements = json_array(), *document = json_loadb(text, size, FLAGS, NULL);
    const json_t *list = json_object_get(document, "emissions");
    enum batch_found found = batch_read_document(text, size, take, elements);
    if (found == BATCH_FOUND)
        HOLDS(json_equal(elements, list));
    else
        HOLDS(!json_is_array(list) || memchr(text, '\0', size));
    if (found == BATCH_NO_LIST)
        HOLDS(!list || !json_is_array(list));
    json_decref(elements);
    json_decref(document);
}

struct lines {
    const char *at;
    const char *end;
};

/* Each line must be the next one that is not blank. */
static bool take_line(void *context, const char *line, size_t size) {
    struct lines *lines = context;
    lines->at += strspn(lines->at, " \t\r\n");
    HOLDS(line == lines->at && size > 0);
    const char *newline = memchr(line, '\n', (size_t)(lines->end - line));
    HOLDS(line + size == (newline ? newline : lines->end));
    lines->at = line + size;
    return true;
}

static void check_lines(const char *text, size_t size) {
    struct lines lines = {text, text + size};
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        lines.at += 3;
    HOLDS(batch_read_lines(text, size, take_line, &lines));
    HOLDS(lines.at + strspn(lines.at, " \t\r\n") == lines.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    check_document(text, size);
    check_lines(text, size);
    free(text);
    return 0;
}
