/* A batch taken apart without a tree, against jansson, which builds one: they take the same documents, and find the same
 * elements in them. */
#include "unit.h"

#include "api/batch_reader.h"

#include <jansson.h>

enum { FLAGS = JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, ELEMENTS = 64 };

struct found {
    json_t *elements; /* an array */
    size_t stop_at;   /* elements until the callback has had enough */
};

/* As the server does it: an element that is no JSON stops the reading. */
static bool take(void *context, const char *text, size_t size) {
    struct found *found = context;
    json_t *element = json_loadb(text, size, FLAGS, NULL);
    if (!element)
        return false;
    assert_int_equal(json_array_append_new(found->elements, element), 0);
    return json_array_size(found->elements) < found->stop_at;
}

/* Hands the text on from memory of its own, with the NUL that the reader wants and nothing behind it. */
static enum batch_found read_copy(const char *text, size_t size, struct found *found) {
    char *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    copy[size] = '\0';
    found->elements = json_array();
    enum batch_found result = batch_read_document(copy, size, take, found);
    free(copy);
    return result;
}

/* jansson overlooks a NUL behind a number; we do not. */
static void compare(const char *text, size_t size) {
    struct found found = {.stop_at = SIZE_MAX};
    bool with_nul = memchr(text, '\0', size) != NULL;
    enum batch_found result = read_copy(text, size, &found);
    json_t *document = json_loadb(text, size, FLAGS, NULL);
    const json_t *list = json_object_get(document, "emissions");
    if ((result == BATCH_FOUND) != json_is_array(list) && !(with_nul && result != BATCH_FOUND))
        fail_msg("%s, but jansson says %s: %.*s", result == BATCH_FOUND ? "found" : "not found",
                 json_is_array(list) ? "a list"
                 : document          ? "no list"
                                     : "no JSON",
                 (int)size, text);
    if (result == BATCH_FOUND && !json_equal(found.elements, list))
        fail_msg("other elements: %.*s", (int)size, text);
    if (result == BATCH_MALFORMED && json_is_object(document) && !with_nul)
        fail_msg("not malformed: %.*s", (int)size, text);
    json_decref(document);
    json_decref(found.elements);
}

static const char *const documents[] = {
    "{\"emissions\":[]}",
    " {\n\t\"emissions\" : [ ] \r} ",
    "{\"emissions\": [{\"a\": 1, \"b\": \"]}\"}, {\"c\": [[], {}]}, 7, \"x,]\\\"\", null, true, -0.5e+3]}",
    "{\"a\": \"\\\\\", \"\\u0065missions\": [1, 2], \"b\": {\"emissions\": [3]}, \"c\": [\"emissions\"]}",
    "{\"emissions\": [1, {\"x\": 2}], \"more\": 0, \"emissions\": [\"the last counts\"]}",
    "{\"emissions\": {}, \"emissions\": []}",
    "{\"emissions\": [], \"emissions\": null}",
    "{\"\xc3\xa9\": \"\xe2\x82\xac \\ud83c\\udf31\", \"emissions\": [\"\xf0\x9f\x8c\xb1\"]}",
    "{\"none\": []}",
    "[]",
};

static void documents_are_judged_as_by_jansson(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(documents); i++)
        compare(documents[i], strlen(documents[i]));
}

static void prefixes_are_judged_as_by_jansson(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(documents); i++)
        for (size_t size = 0; size < strlen(documents[i]); size++)
            compare(documents[i], size);
}

/* Each byte replaced by any other, left out, doubled, and preceded by what has a meaning. */
static void changes_are_judged_as_by_jansson(void **state) {
    (void)state;
    static const char inserted[] = "{}[],:\"\\ \n0-etx";
    char text[512];
    for (size_t i = 0; i < COUNT(documents); i++) {
        size_t size = strlen(documents[i]);
        for (size_t at = 0; at < size; at++) {
            memcpy(text, documents[i], size);
            for (int byte = 0; byte < 256; byte++) {
                text[at] = (char)byte;
                compare(text, size);
            }
            memcpy(text + at, documents[i] + at + 1, size - at - 1);
            compare(text, size - 1);
            memcpy(text + at + 1, documents[i] + at, size - at);
            for (size_t j = 0; j < sizeof inserted; j++) { /* with its NUL */
                text[at] = inserted[j];
                compare(text, size + 1);
            }
        }
    }
}

static void what_is_found_elsewhere(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum batch_found found;
    } cases[] = {
        {"{}", BATCH_NO_LIST},
        {"{\"emission\": []}", BATCH_NO_LIST},
        {"{\"emissions\": 7}", BATCH_NO_LIST},
        {"{\"emissions\": \"[]\"}", BATCH_NO_LIST},
        {"", BATCH_MALFORMED},
        {"[]", BATCH_MALFORMED},
        {"{\"emissions\": [1 2]}", BATCH_MALFORMED},
        {"{\"emissions\": [}", BATCH_MALFORMED},
        {"{\"emissions\": [nul]}", BATCH_STOPPED},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct found found = {.stop_at = SIZE_MAX};
        if (read_copy(cases[i].text, strlen(cases[i].text), &found) != cases[i].found)
            fail_msg("%s", cases[i].text);
        json_decref(found.elements);
    }
}

static void the_callback_may_stop(void **state) {
    (void)state;
    struct found found = {.stop_at = 2};
    static const char text[] = "{\"emissions\": [1, 2, 3, {]}";
    assert_int_equal(read_copy(text, sizeof text - 1, &found),
                     BATCH_MALFORMED); /* the brackets are counted first */
    json_decref(found.elements);
    static const char well[] = "{\"emissions\": [1, 2, x]}";
    assert_int_equal(read_copy(well, sizeof well - 1, &found), BATCH_STOPPED);
    assert_int_equal(json_array_size(found.elements), 2);
    json_decref(found.elements);
}

/* ---- lines */

struct lines {
    const char *texts[ELEMENTS];
    size_t sizes[ELEMENTS];
    size_t count, stop_at;
};

static bool take_line(void *context, const char *text, size_t size) {
    struct lines *lines = context;
    lines->texts[lines->count] = text;
    lines->sizes[lines->count++] = size;
    return lines->count < lines->stop_at;
}

static void lines_are_told_apart(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *elements[4]; /* as they are handed on: space behind is part of them */
    } cases[] = {
        {"", {NULL}},
        {"\n\r\n \t\n", {NULL}},
        {"1", {"1"}},
        {"1\n", {"1"}},
        {"1\n\n 2\r\n3 ", {"1", "2\r", "3 "}},
        {"{\"a\": \"b\"}\n{", {"{\"a\": \"b\"}", "{"}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct lines lines = {.stop_at = SIZE_MAX};
        assert_true(batch_read_lines(cases[i].text, strlen(cases[i].text), take_line, &lines));
        for (size_t j = 0; j < COUNT(cases[i].elements) && cases[i].elements[j]; j++) {
            assert_true(j < lines.count);
            assert_int_equal(lines.sizes[j], strlen(cases[i].elements[j]));
            assert_memory_equal(lines.texts[j], cases[i].elements[j], lines.sizes[j]);
            assert_true(j + 1 < lines.count || !cases[i].elements[j + 1]);
        }
        if (!cases[i].elements[0])
            assert_int_equal(lines.count, 0);
    }
    struct lines stopped = {.stop_at = 2};
    assert_false(batch_read_lines("1\n2\n3", 5, take_line, &stopped));
    assert_int_equal(stopped.count, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_judged_as_by_jansson),
        cmocka_unit_test(prefixes_are_judged_as_by_jansson),
        cmocka_unit_test(changes_are_judged_as_by_jansson),
        cmocka_unit_test(what_is_found_elsewhere),
        cmocka_unit_test(the_callback_may_stop),
        cmocka_unit_test(lines_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
