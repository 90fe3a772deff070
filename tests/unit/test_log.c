#include "unit.h"

#include "base/log.h"

#include <jansson.h>
#include <unistd.h>

/* What one line looks like on standard error. */
static size_t logged(enum log_format format, const char *value, char *out, size_t room) {
    int ends[2], before = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_configure(LOG_LEVEL_INFO, format);
    log_debug("not shown", "key", "value");
    log_info("message", "key", value, "absent", (const char *)NULL, "number", log_number(-7).text);
    dup2(before, STDERR_FILENO);
    close(before);
    close(ends[1]);
    ssize_t size = read(ends[0], out, room - 1);
    close(ends[0]);
    assert_true(size > 0);
    out[size] = '\0';
    return (size_t)size;
}

static const char *const values[] = {
    "plain",       "",          "two words",          "a\"quote",
    "back\\slash", "line\nend", "tab\there",          "control\x01\x1f\x7f",
    "é€𝄞",         "=equals",   "bad \xff\xfe utf-8", "cut \xE2\x82",
};

static void test_one_line_each(void **state) {
    (void)state;
    char out[4096];
    for (size_t i = 0; i < COUNT(values); i++) {
        size_t size = logged(LOG_FORMAT_LOGFMT, values[i], out, sizeof out);
        assert_ptr_equal(strchr(out, '\n'), out + size - 1);
        assert_non_null(strstr(out, " level=info msg=message key="));
        assert_non_null(strstr(out, "number=-7"));
        assert_null(strstr(out, "absent"));
    }
}

static void test_json_is_json(void **state) {
    (void)state;
    char out[4096];
    for (size_t i = 0; i < COUNT(values); i++) {
        size_t size = logged(LOG_FORMAT_JSON, values[i], out, sizeof out);
        assert_ptr_equal(strchr(out, '\n'), out + size - 1);
        json_t *line = json_loads(out, 0, NULL);
        if (!line)
            fail_msg("not JSON: %s", out);
        assert_non_null(json_object_get(line, "key"));
        json_decref(line);
    }
}

static void test_long_lines_are_cut(void **state) {
    (void)state;
    static char value[20000], out[30000];
    memset(value, '"', sizeof value - 1);
    for (int format = LOG_FORMAT_LOGFMT; format <= LOG_FORMAT_JSON; format++) {
        size_t size = logged((enum log_format)format, value, out, sizeof out);
        assert_true(size <= 8192);
        assert_ptr_equal(strchr(out, '\n'), out + size - 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_line_each),
        cmocka_unit_test(test_json_is_json),
        cmocka_unit_test(test_long_lines_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
