#include "base/metric.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_SIZE = 32 };

const struct metric_bounds metric_latency = {
    METRIC_MICROSECONDS,
    15,
    {500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
     30000000},
};

/* ---- counting */

static void add(_Atomic int64_t *figure, int64_t more) {
    atomic_fetch_add_explicit(figure, more, memory_order_relaxed);
}

static int64_t read_figure(const _Atomic int64_t *figure) {
    return atomic_load_explicit(figure, memory_order_relaxed);
}

void metric_count(struct metric_counter *counter, int64_t more) {
    add(&counter->value, more);
}

int64_t metric_counted(const struct metric_counter *counter) {
    return read_figure(&counter->value);
}

void metric_set(struct metric_gauge *gauge, int64_t value) {
    atomic_store_explicit(&gauge->value, value, memory_order_relaxed);
}

void metric_change(struct metric_gauge *gauge, int64_t by) {
    add(&gauge->value, by);
}

int64_t metric_value(const struct metric_gauge *gauge) {
    return read_figure(&gauge->value);
}

void metric_observe(struct metric_histogram *histogram, int64_t value) {
    const struct metric_bounds *bounds = histogram->bounds;
    if (value < 0)
        value = 0;
    size_t bucket = 0;
    while (bucket < bounds->count && value > bounds->upper[bucket])
        bucket++;
    add(&histogram->buckets[bucket], 1);
    add(&histogram->sum, value);
}

/* ---- the text */

/* Writes "0.0025", "10", "2.5": seconds lose the zeros at their end. */
static void format(enum metric_unit unit, int64_t value, char text[NUMBER_SIZE]) {
    if (unit == METRIC_NUMBER) {
        snprintf(text, NUMBER_SIZE, "%" PRId64, value);
        return;
    }
    int length = snprintf(text, NUMBER_SIZE, "%" PRId64 ".%06" PRId64, value / 1000000, value % 1000000);
    while (text[length - 1] == '0')
        text[--length] = '\0';
    if (text[length - 1] == '.')
        text[length - 1] = '\0';
}

static void write_escaped(struct buffer *out, const char *text, bool quoted) {
    for (; *text; text++) {
        if (*text == '\n') {
            buffer_text(out, "\\n");
            continue;
        }
        if (*text == '\\' || (quoted && *text == '"'))
            buffer_char(out, '\\');
        buffer_char(out, *text);
    }
}

static void write_label(struct buffer *out, const struct metric_label *label, bool first) {
    buffer_char(out, first ? '{' : ',');
    buffer_text(out, label->name);
    buffer_text(out, "=\"");
    write_escaped(out, label->value, true);
    buffer_char(out, '"');
}

/* A line: NAME SUFFIX {LABELS, the last of them `le` unless it is NULL} VALUE. */
static void write_line(struct buffer *out, const char *name, const char *suffix,
                       const struct metric_label *labels, const char *le, const char *value) {
    bool first = true;
    buffer_text(out, name);
    buffer_text(out, suffix);
    for (; labels && labels->name; labels++, first = false)
        write_label(out, labels, first);
    if (le) {
        write_label(out, &(struct metric_label){"le", le}, first);
        first = false;
    }
    buffer_text(out, first ? " " : "} ");
    buffer_text(out, value);
    buffer_char(out, '\n');
}

void metric_write_family(struct buffer *out, const struct metric_family *family) {
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    buffer_text(out, "# HELP ");
    buffer_text(out, family->name);
    buffer_char(out, ' ');
    write_escaped(out, family->help, false);
    buffer_text(out, "\n# TYPE ");
    buffer_text(out, family->name);
    buffer_char(out, ' ');
    buffer_text(out, kinds[family->kind]);
    buffer_char(out, '\n');
}

void metric_write_sample(struct buffer *out, const struct metric_family *family,
                         const struct metric_label *labels, int64_t value) {
    char number[NUMBER_SIZE];
    if (value == METRIC_UNKNOWN)
        return;
    format(family->unit, value, number);
    write_line(out, family->name, "", labels, NULL, number);
}

void metric_write_text(struct buffer *out, const struct metric_family *family,
                       const struct metric_label *labels, const char *value) {
    write_line(out, family->name, "", labels, NULL, value);
}

void metric_write_histogram(struct buffer *out, const struct metric_family *family,
                            const struct metric_label *labels, const struct metric_histogram *histogram) {
    const struct metric_bounds *bounds = histogram->bounds;
    char number[NUMBER_SIZE], upper[NUMBER_SIZE];
    int64_t count = 0;
    for (size_t i = 0; i <= bounds->count; i++) {
        count += read_figure(&histogram->buckets[i]);
        format(METRIC_NUMBER, count, number);
        if (i < bounds->count)
            format(bounds->unit, bounds->upper[i], upper);
        write_line(out, family->name, "_bucket", labels, i < bounds->count ? upper : "+Inf", number);
    }
    write_line(out, family->name, "_count", labels, NULL, number);
    format(bounds->unit, read_figure(&histogram->sum), number);
    write_line(out, family->name, "_sum", labels, NULL, number);
}

/* ---- tables */

static struct metric_family family_of(const struct metric *row) {
    enum metric_kind kind = row->counter ? METRIC_COUNTER : row->gauge ? METRIC_GAUGE : METRIC_HISTOGRAM;
    return (struct metric_family){row->name, row->help, kind, METRIC_NUMBER};
}

static void write_row(struct buffer *out, const struct metric *row, const struct metric_family *family) {
    const struct metric_label labels[] = {row->label, {NULL, NULL}};
    if (row->histogram)
        metric_write_histogram(out, family, labels, row->histogram);
    else
        metric_write_sample(out, family, labels,
                            row->counter ? metric_counted(row->counter) : metric_value(row->gauge));
}

void metric_write_table(struct buffer *out, const struct metric *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct metric_family family = family_of(&rows[i]);
        if (i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0)
            metric_write_family(out, &family);
        write_row(out, &rows[i], &family);
    }
}
