#include "unit.h"

#include "http/url.h"

static const struct {
    const char *raw;
    enum http_url_verdict verdict;
    const char *path; /* the segments, joined */
    const char *token;
} cases[] = {
    {"/", HTTP_URL_OK, "", NULL},
    {"//", HTTP_URL_OK, "", NULL},
    {"/runs", HTTP_URL_OK, "runs", NULL},
    {"//runs//x/", HTTP_URL_OK, "runs|x", NULL},
    {"/api", HTTP_URL_OK, "", NULL},
    {"/api/runs", HTTP_URL_OK, "runs", NULL},
    {"/api/api/runs", HTTP_URL_OK, "api|runs", NULL},
    {"/apix/runs", HTTP_URL_OK, "apix|runs", NULL},
    {"/t/TOKEN/runs", HTTP_URL_OK, "runs", "TOKEN"},
    {"/t/TOKEN/api/runs", HTTP_URL_OK, "runs", "TOKEN"},
    {"/api/t/TOKEN/runs", HTTP_URL_OK, "runs", "TOKEN"},
    {"/t/A/t/B/runs", HTTP_URL_OK, "t|B|runs", "A"},
    {"/t/A", HTTP_URL_OK, "", "A"},
    {"/t", HTTP_URL_OK, "t", NULL},
    {"/t/", HTTP_URL_OK, "t", NULL},
    {"/a%2Fb", HTTP_URL_OK, "a/b", NULL},
    {"/a%2fb/%41", HTTP_URL_OK, "a/b|A", NULL},
    {"/%25zz", HTTP_URL_OK, "%zz", NULL},
    {"/./..", HTTP_URL_OK, ".|..", NULL},
    {"/a+b", HTTP_URL_OK, "a+b", NULL},
    {"/%C3%A9%E2%82%AC%F0%9D%84%9E", HTTP_URL_OK, "\xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E", NULL},
    {"/1/2/3/4/5/6/7/8/9/10/11/12", HTTP_URL_OK, "1|2|3|4|5|6|7|8|9|10|11|12", NULL},
    {"/1/2/3/4/5/6/7/8/9/10/11/12/13", HTTP_URL_TOO_LONG, NULL, NULL},
    {"", HTTP_URL_MALFORMED, NULL, NULL},
    {"*", HTTP_URL_MALFORMED, NULL, NULL},
    {"runs", HTTP_URL_MALFORMED, NULL, NULL},
    {"http://host/runs", HTTP_URL_OK, "runs", NULL},
    {"HTTPS://host:8008/t/TOKEN/runs?a=b", HTTP_URL_OK, "runs", "TOKEN"},
    {"http://[::1]:8008/runs", HTTP_URL_OK, "runs", NULL},
    {"http://host", HTTP_URL_OK, "", NULL},
    {"http://host?a=b", HTTP_URL_OK, "", NULL},
    {"http://host//runs/", HTTP_URL_OK, "runs", NULL},
    {"http:///runs", HTTP_URL_MALFORMED, NULL, NULL},
    {"http://", HTTP_URL_MALFORMED, NULL, NULL},
    {"http:/host/runs", HTTP_URL_MALFORMED, NULL, NULL},
    {"http://ada@host/runs", HTTP_URL_MALFORMED, NULL, NULL},
    {"http://ho\\st/runs", HTTP_URL_MALFORMED, NULL, NULL},
    {"ftp://host/runs", HTTP_URL_MALFORMED, NULL, NULL},
    {"host:8008", HTTP_URL_MALFORMED, NULL, NULL},
    {"/%", HTTP_URL_MALFORMED, NULL, NULL},
    {"/%4", HTTP_URL_MALFORMED, NULL, NULL},
    {"/%zz", HTTP_URL_MALFORMED, NULL, NULL},
    {"/%4g", HTTP_URL_MALFORMED, NULL, NULL},
    {"/%/x", HTTP_URL_MALFORMED, NULL, NULL},
    {"/x%00y", HTTP_URL_MALFORMED, NULL, NULL},
    {"/%0a", HTTP_URL_MALFORMED, NULL, NULL},
    {"/%7f", HTTP_URL_MALFORMED, NULL, NULL},
    {"/%80", HTTP_URL_MALFORMED, NULL, NULL},
    {"/%C0%AF", HTTP_URL_MALFORMED, NULL, NULL},
    {"/%ED%A0%80", HTTP_URL_MALFORMED, NULL, NULL},
    {"/%F4%90%80%80", HTTP_URL_MALFORMED, NULL, NULL},
    {"/%E2%82", HTTP_URL_MALFORMED, NULL, NULL},
    {"/x#y", HTTP_URL_MALFORMED, NULL, NULL},
    {"/x?%zz", HTTP_URL_MALFORMED, NULL, NULL},
    {"/x?a=%00", HTTP_URL_MALFORMED, NULL, NULL},
    {"/x y", HTTP_URL_MALFORMED, NULL, NULL},
    {"/x?a=b c", HTTP_URL_MALFORMED, NULL, NULL},
    {"/x?a=b\tc", HTTP_URL_MALFORMED, NULL, NULL},
    {"/x?a=b\rc", HTTP_URL_MALFORMED, NULL, NULL},
    {"/x?a=b\177", HTTP_URL_MALFORMED, NULL, NULL},
};

static void test_paths(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_url url;
        char path[256] = "";
        enum http_url_verdict verdict = http_url_parse(&url, cases[i].raw);
        if (verdict != cases[i].verdict)
            fail_msg("%s: %d", cases[i].raw, verdict);
        for (size_t k = 0, used = 0; verdict == HTTP_URL_OK && k < url.segment_count; k++)
            used += (size_t)snprintf(path + used, sizeof path - used, "%s%s", k ? "|" : "", url.segments[k]);
        if (verdict == HTTP_URL_OK) {
            assert_string_equal(path, cases[i].path);
            assert_string_equal(url.token ? url.token : "", cases[i].token ? cases[i].token : "");
        }
        http_url_free(&url);
    }
}

static void test_query(void **state) {
    (void)state;
    static const struct {
        const char *raw;
        const char *value; /* of "a" */
    } queries[] = {
        {"/x", NULL},        {"/x?", NULL},       {"/x?a", ""},        {"/x?a=", ""},     {"/x?a=b", "b"},
        {"/x?=b", NULL},     {"/x?a=b&a=c", "c"}, {"/x?a=b+c", "b c"}, {"/x?a=%2B", "+"}, {"/x?a=b=c", "b=c"},
        {"/x?a=b?c", "b?c"}, {"/x?&&a=b&", "b"},  {"/x?%61=b", "b"},   {"/x?A=b", NULL},
    };
    for (size_t i = 0; i < COUNT(queries); i++) {
        struct http_url url;
        assert_int_equal(http_url_parse(&url, queries[i].raw), HTTP_URL_OK);
        const char *value = http_url_parameter(&url, "a");
        if (!value != !queries[i].value || (value && strcmp(value, queries[i].value) != 0))
            fail_msg("%s: %s", queries[i].raw, value ? value : "nothing");
        http_url_free(&url);
    }
}

static void test_too_many_parameters(void **state) {
    (void)state;
    char raw[256] = "/x?a";
    struct http_url url;
    size_t length = strlen(raw);
    for (int i = 1; i < HTTP_URL_PARAMETERS; i++)
        length += (size_t)snprintf(raw + length, sizeof raw - length, "&a");
    assert_int_equal(http_url_parse(&url, raw), HTTP_URL_OK);
    http_url_free(&url);
    snprintf(raw + length, sizeof raw - length, "&a");
    assert_int_equal(http_url_parse(&url, raw), HTTP_URL_TOO_LONG);
    http_url_free(&url);
}

static void test_form(void **state) {
    (void)state;
    struct http_url form;
    static const char body[] = "email=a%40b&password=p%26ss+%0A&x";
    assert_int_equal(http_form_parse(&form, body, strlen(body)), HTTP_URL_OK);
    assert_string_equal(http_url_parameter(&form, "email"), "a@b");
    assert_string_equal(http_url_parameter(&form, "password"), "p&ss \n");
    http_url_free(&form);
    assert_int_equal(http_form_parse(&form, "a=\0b", 4), HTTP_URL_MALFORMED);
    http_url_free(&form);
    assert_int_equal(http_form_parse(&form, "a=%00", 5), HTTP_URL_MALFORMED);
    http_url_free(&form);
    assert_int_equal(http_form_parse(&form, "a=bc", 3), HTTP_URL_OK);
    assert_string_equal(http_url_parameter(&form, "a"), "b");
    http_url_free(&form);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_too_many_parameters),
        cmocka_unit_test(test_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
