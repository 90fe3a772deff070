#include "unit.h"

#include "options.h"

#include <sys/stat.h>
#include <unistd.h>

#define EXPERIMENT "3f0c8f0e-6b57-4c7c-9d0a-6f1d2f6b8a11"

static char complaints[4096];

static void note(void *user, int level, const char *message) {
    (void)user;
    (void)level;
    strncat(complaints, message, sizeof complaints - strlen(complaints) - 1);
}

static int resolve(const carbond_options *given, carbond_options *options) {
    struct log log;
    complaints[0] = '\0';
    log_init(&log, note, NULL, CARBOND_LOG_DEBUG);
    carbond_options read;
    assert_true(options_read(given, &read));
    int result = options_resolve(&read, &log, options);
    log_destroy(&log);
    return result;
}

/* Each test begins with an empty environment, in an empty directory, which is the home as well. */
static char directory[] = "/tmp/carbond-options-XXXXXX";

static int begin(void **state) {
    (void)state;
    return clearenv() != 0 || setenv("HOME", directory, 1) != 0 || chdir(directory) != 0;
}

static int end(void **state) {
    (void)state;
    unlink(".codecarbon.config");
    unlink("elsewhere");
    return 0;
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void test_order(void **state) {
    (void)state;
    carbond_options given, options;
    write_file(".codecarbon.config",
               "[other]\napi_key = wrong\n[codecarbon]\n# a comment\napi_endpoint = http://file/api/\n"
               "API_KEY: cpt_file\n experiment_id=" EXPERIMENT " \nlog_level = DEBUG\nnonsense\n");
    assert_int_equal(resolve(NULL, &options), CARBOND_OK);
    assert_string_equal(options.url, "http://file/api");
    assert_string_equal(options.token, "cpt_file");
    assert_string_equal(options.experiment_id, EXPERIMENT);
    options_destroy(&options);

    setenv("CARBOND_URL", "http://environment", 1);
    setenv("CARBOND_FSYNC", "none", 1);
    setenv("CARBOND_SPOOL_MAX_BYTES", "1000000", 1);
    setenv("CARBOND_TOKEN", "", 1); /* an empty one is none */
    carbond_options_init(&given, sizeof given);
    given.token = "cpt_code";
    given.max_bytes = 2000000;
    setenv("CARBOND_WHEN_FULL", "refuse", 1);
    given.when_full = CARBOND_DROP_OLDEST; /* what a program sets holds, though it is the default as well */
    assert_int_equal(resolve(&given, &options), CARBOND_OK);
    assert_string_equal(options.url, "http://environment");
    assert_string_equal(options.token, "cpt_code");
    assert_true(options.token != given.token);
    assert_string_equal(options.experiment_id, EXPERIMENT);
    assert_int_equal(options.fsync, CARBOND_FSYNC_NONE);
    assert_int_equal(options.max_bytes, 2000000);
    assert_int_equal(options.when_full, CARBOND_DROP_OLDEST);
    options_destroy(&options);
}

static void test_files(void **state) {
    (void)state;
    carbond_options given, options;
    carbond_options_init(&given, sizeof given);
    given.config_file = "elsewhere";
    assert_int_equal(resolve(&given, &options), CARBOND_CONFIG);
    assert_non_null(strstr(complaints, "config_file"));
    write_file("elsewhere", "[codecarbon]\napi_endpoint = https://elsewhere");
    write_file(".codecarbon.config", "[codecarbon]\napi_endpoint = https://here\napi_key = cpt_here\n");
    assert_int_equal(resolve(&given, &options), CARBOND_OK);
    assert_string_equal(options.url, "https://elsewhere");
    assert_null(options.token);
    assert_string_equal(complaints, "");
    options_destroy(&options);
    unlink(".codecarbon.config");
    assert_int_equal(mkdir(".codecarbon.config", 0700), 0);
    given.url = "http://x";
    given.config_file = NULL;
    assert_int_equal(resolve(&given, &options), CARBOND_OK);
    assert_non_null(strstr(complaints, ".codecarbon.config can't be read"));
    options_destroy(&options);
    rmdir(".codecarbon.config");
}

static void test_defaults(void **state) {
    (void)state;
    carbond_options options;
    char expected[256];
    setenv("CARBOND_URL", "http://127.0.0.1:8008", 1);
    assert_int_equal(resolve(NULL, &options), CARBOND_OK);
    snprintf(expected, sizeof expected, "%s/.local/state/carbond", directory);
    assert_string_equal(options.spool_dir, expected);
    assert_int_equal(options.max_bytes, 536870912);
    assert_int_equal(options.flush_interval, 500);
    assert_int_equal(options.ring_capacity, 8192);
    assert_int_equal(options.batch_size, 1000);
    assert_int_equal(options.log_level, CARBOND_LOG_INFO);
    options_destroy(&options);
    setenv("CARBOND_SPOOL_DIR", "a/spool", 1);
    assert_int_equal(resolve(NULL, &options), CARBOND_OK);
    snprintf(expected, sizeof expected, "%s/a/spool", directory);
    assert_string_equal(options.spool_dir, expected);
    options_destroy(&options);
}

static void test_what_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *name, *value, *complaint;
    } cases[] = {
        {"CARBOND_URL", "ftp://x", "url"},
        {"CARBOND_URL", "http://", "url"},
        {"CARBOND_URL", "http:///path", "url"},
        {"CARBOND_URL", "http://a b", "url"},
        {"CARBOND_URL", "http://x?y=z", "url"},
        {"CARBOND_URL", "http://localhost:8o08", "url"},
        {"CARBOND_URL", "http://localhost:80080", "url"},
        {"CARBOND_TOKEN", "cpt_x\r\nX: y", "token"},
        {"CARBOND_TOKEN", "two words", "token"},
        {"CARBOND_EXPERIMENT_ID", "seven", "experiment_id"},
        {"CARBOND_FSYNC", "sometimes", "the option fsync [CARBOND_FSYNC] takes every, interval, none"},
        {"CARBOND_LOG_LEVEL", "verbose", "takes error, warning, info, debug"},
        {"CARBOND_SERVER", "apache", "CARBOND_SERVER"},
        {"CARBOND_SPOOL_MAX_BYTES", "12x", "CARBOND_SPOOL_MAX_BYTES"},
        {"CARBOND_SPOOL_MAX_BYTES", "12",
         "max_bytes [CARBOND_SPOOL_MAX_BYTES] takes a whole number from 65536 to"},
        {"CARBOND_SPOOL_MAX_BYTES", "99999999999999999999", "CARBOND_SPOOL_MAX_BYTES"},
        {"CARBOND_SPOOL_MAX_AGE", "-1", "max_age"},
    };
    carbond_options options;
    assert_int_equal(resolve(NULL, &options), CARBOND_CONFIG);
    assert_non_null(strstr(complaints, "url is missing"));
    for (size_t i = 0; i < COUNT(cases); i++) {
        setenv("CARBOND_URL", "http://x", 1);
        setenv(cases[i].name, cases[i].value, 1);
        assert_int_equal(resolve(NULL, &options), CARBOND_CONFIG);
        if (!strstr(complaints, cases[i].complaint))
            fail_msg("%s=%s: %s", cases[i].name, cases[i].value, complaints);
        unsetenv(cases[i].name);
    }
    carbond_options given;
    carbond_options_init(&given, sizeof given);
    given.size = 8;
    assert_false(options_read(&given, &options));
}

int main(void) {
    if (!mkdtemp(directory))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, begin, end),
        cmocka_unit_test_setup_teardown(test_files, begin, end),
        cmocka_unit_test_setup_teardown(test_defaults, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_refused, begin, end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return rmdir(directory) != 0 ? 1 : failed;
}
