/* Figures for Prometheus: counters, gauges and histograms, and their text (exposition format 0.0.4).
 *
 * Whoever counts takes no lock and allocates nothing: a few relaxed atomic additions, from any thread. Whoever writes the
 * text reads while others count; each figure is right by itself, and a histogram's count is the sum of its buckets.
 *
 *     static struct metric_counter accepted;
 *     static const struct metric metrics[] = {
 *         {"carbond_emissions_total", "Emissions by what became of them.", {"result", "accepted"}, .counter = &accepted},
 *     };
 *     metric_count(&accepted, 3);
 *     metric_write_table(out, metrics, 1);
 *
 * All figures are whole numbers. Those of time are kept in microseconds and written in seconds. */
#pragma once

#include "base/buffer.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A gauge with this value has no sample: nobody has looked yet. */
#define METRIC_UNKNOWN INT64_MIN

enum { METRIC_BUCKETS = 16 };

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum metric_unit {
    METRIC_NUMBER,       /* written as it is */
    METRIC_MICROSECONDS, /* written in seconds; never negative */
};

/* ---- what is counted; zero-initialise to start */

struct metric_counter {
    _Atomic int64_t value;
};

struct metric_gauge {
    _Atomic int64_t value;
};

/* The upper ends of a histogram's buckets, ascending; what is larger than all of them is in a bucket of its own. */
struct metric_bounds {
    enum metric_unit unit;
    size_t count;
    int64_t upper[METRIC_BUCKETS];
};

struct metric_histogram {
    const struct metric_bounds *bounds;
    _Atomic int64_t buckets[METRIC_BUCKETS + 1];
    _Atomic int64_t sum;
};

/* From 0.5 ms to 30 s: for whatever a client waits for. */
extern const struct metric_bounds metric_latency;

void metric_count(struct metric_counter *counter, int64_t more);
int64_t metric_counted(const struct metric_counter *counter);

void metric_set(struct metric_gauge *gauge, int64_t value);
void metric_change(struct metric_gauge *gauge, int64_t by);
int64_t metric_value(const struct metric_gauge *gauge);

/* The value in the unit of the bounds; one below 0 counts as 0. */
void metric_observe(struct metric_histogram *histogram, int64_t value);

/* ---- a table of them */

struct metric_label {
    const char *name; /* NULL: no more labels */
    const char *value;
};

/* One figure. Rows of one name stand together, differ in their label, and share the first one's help. */
struct metric {
    const char *name;
    const char *help;
    struct metric_label label;
    /* One of these. */
    const struct metric_counter *counter;
    const struct metric_gauge *gauge;
    const struct metric_histogram *histogram;
};

void metric_write_table(struct buffer *out, const struct metric *rows, size_t count);

/* ---- the text, piece by piece: a family, then all of its samples */

struct metric_family {
    const char *name;
    const char *help;
    enum metric_kind kind;
    enum metric_unit unit; /* of its samples; a histogram's is that of its bounds */
};

/* HELP and TYPE. */
void metric_write_family(struct buffer *out, const struct metric_family *family);

/* `labels` ends with a NULL name, or is NULL: none. Their values may hold anything. METRIC_UNKNOWN writes nothing. */
void metric_write_sample(struct buffer *out, const struct metric_family *family,
                         const struct metric_label *labels, int64_t value);
/* The same for a figure that is no whole number, and a text already. */
void metric_write_text(struct buffer *out, const struct metric_family *family,
                       const struct metric_label *labels, const char *value);
void metric_write_histogram(struct buffer *out, const struct metric_family *family,
                            const struct metric_label *labels, const struct metric_histogram *histogram);
