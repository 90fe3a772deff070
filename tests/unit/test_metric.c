#include "unit.h"

#include "base/metric.h"

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 100000 };

static const struct metric_bounds sizes = {METRIC_NUMBER, 3, {1, 10, 100}};

static void assert_text(struct buffer *out, const char *expected) {
    assert_false(out->failed);
    assert_string_equal(out->data, expected);
    buffer_free(out);
}

static void test_counters_and_gauges(void **state) {
    (void)state;
    static struct metric_counter good, bad;
    static struct metric_gauge depth, unknown = {METRIC_UNKNOWN};
    static const struct metric table[] = {
        {"x_total", "What came.", {"result", "good"}, .counter = &good},
        {"x_total", NULL, {"result", "bad"}, .counter = &bad},
        {"depth", "How deep.", .gauge = &depth},
        {"unknown", "Nobody knows.", .gauge = &unknown},
    };
    struct buffer out = {0};
    metric_count(&good, 1);
    metric_count(&good, 41);
    metric_set(&depth, 3);
    metric_change(&depth, -5);
    assert_int_equal(metric_counted(&good), 42);
    metric_write_table(&out, table, COUNT(table));
    assert_text(&out, "# HELP x_total What came.\n# TYPE x_total counter\n"
                      "x_total{result=\"good\"} 42\nx_total{result=\"bad\"} 0\n"
                      "# HELP depth How deep.\n# TYPE depth gauge\ndepth -2\n"
                      "# HELP unknown Nobody knows.\n# TYPE unknown gauge\n");
}

static void test_histogram(void **state) {
    (void)state;
    static struct metric_histogram batch = {.bounds = &sizes};
    static const struct metric table[] = {{"batch", "Sizes.", .histogram = &batch}};
    static const int64_t values[] = {-7, 0, 1, 2, 10, 11, 101, 5000};
    struct buffer out = {0};
    for (size_t i = 0; i < COUNT(values); i++)
        metric_observe(&batch, values[i]);
    metric_write_table(&out, table, COUNT(table));
    assert_text(&out, "# HELP batch Sizes.\n# TYPE batch histogram\n"
                      "batch_bucket{le=\"1\"} 3\nbatch_bucket{le=\"10\"} 5\nbatch_bucket{le=\"100\"} 6\n"
                      "batch_bucket{le=\"+Inf\"} 8\nbatch_count 8\nbatch_sum 5125\n");
}

static void test_seconds(void **state) {
    (void)state;
    static const struct {
        int64_t microseconds;
        const char *text;
    } cases[] = {
        {0, "t 0\n"},           {1, "t 0.000001\n"},
        {500, "t 0.0005\n"},    {1000000, "t 1\n"},
        {2500000, "t 2.5\n"},   {10000000, "t 10\n"},
        {100500, "t 0.1005\n"}, {1795632849250000, "t 1795632849.25\n"},
    };
    static const struct metric_family family = {"t", "Time.", METRIC_GAUGE, METRIC_MICROSECONDS};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer out = {0};
        metric_write_sample(&out, &family, NULL, cases[i].microseconds);
        assert_text(&out, cases[i].text);
    }
}

static void test_latency_bounds_ascend(void **state) {
    (void)state;
    assert_true(metric_latency.count <= METRIC_BUCKETS);
    for (size_t i = 1; i < metric_latency.count; i++)
        assert_true(metric_latency.upper[i - 1] < metric_latency.upper[i]);
}

static void test_labels_and_help_are_escaped(void **state) {
    (void)state;
    static const struct metric_family family = {"x", "A \"quote\", a \\ and\na line.", METRIC_GAUGE, 0};
    static const struct metric_label labels[] = {{"a", "\"\\\n"}, {"b", "é {,}="}, {NULL, NULL}};
    static struct metric_histogram batch = {.bounds = &sizes};
    struct buffer out = {0};
    metric_write_family(&out, &family);
    metric_write_sample(&out, &family, labels, 1);
    assert_text(&out, "# HELP x A \"quote\", a \\\\ and\\na line.\n# TYPE x gauge\n"
                      "x{a=\"\\\"\\\\\\n\",b=\"é {,}=\"} 1\n");
    metric_write_histogram(&out, &family, labels + 1, &batch);
    assert_non_null(strstr(out.data, "x_bucket{b=\"é {,}=\",le=\"+Inf\"} 0\n"));
    buffer_free(&out);
}

/* ---- several threads at once, and a reader among them */

static struct metric_counter shared_counter;
static struct metric_gauge shared_gauge;
static struct metric_histogram shared_histogram = {.bounds = &sizes};
static const struct metric shared[] = {
    {"counter_total", "", .counter = &shared_counter},
    {"gauge", "", .gauge = &shared_gauge},
    {"histogram", "", .histogram = &shared_histogram},
};

static void *count_much(void *argument) {
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        metric_count(&shared_counter, 2);
        metric_change(&shared_gauge, 1);
        metric_observe(&shared_histogram, i % 200);
        metric_change(&shared_gauge, -1);
    }
    return NULL;
}

/* Whatever moment it was taken at: the count is that of the bucket which holds all. */
static void assert_consistent(const char *text) {
    const char *all = strstr(text, "le=\"+Inf\"} "), *count = strstr(text, "histogram_count ");
    assert_non_null(all);
    assert_non_null(count);
    assert_int_equal(strtoll(strchr(all, ' '), NULL, 10), strtoll(strchr(count, ' '), NULL, 10));
}

static void test_nothing_is_lost_between_threads(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    struct buffer out = {0};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_much, NULL), 0);
    for (int i = 0; i < 100; i++) {
        metric_write_table(&out, shared, COUNT(shared));
        assert_consistent(out.data);
        buffer_free(&out);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    metric_write_table(&out, shared, COUNT(shared));
    assert_text(&out, "# HELP counter_total \n# TYPE counter_total counter\ncounter_total 800000\n"
                      "# HELP gauge \n# TYPE gauge gauge\ngauge 0\n"
                      "# HELP histogram \n# TYPE histogram histogram\n"
                      "histogram_bucket{le=\"1\"} 4000\nhistogram_bucket{le=\"10\"} 22000\n"
                      "histogram_bucket{le=\"100\"} 202000\nhistogram_bucket{le=\"+Inf\"} 400000\n"
                      "histogram_count 400000\nhistogram_sum 39800000\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_and_gauges),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_latency_bounds_ascend),
        cmocka_unit_test(test_labels_and_help_are_escaped),
        cmocka_unit_test(test_nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
