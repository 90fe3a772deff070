#include "auth/limits.h"

#include "base/clock.h"
#include "base/metric.h"
#include "http/reply.h"

#include <stdlib.h>

static const struct {
    const char *name; /* in the metrics; behind --rate- in the options */
    const char *sentence;
} about[LIMITS] = {
    [LIMIT_ADDRESS] = {"address", "Too many requests from this address: try again later"},
    [LIMIT_TOKEN] = {"token", "Too many requests with these credentials: try again later"},
    [LIMIT_TRACKER_ADDRESS] = {"tracker-address",
                               "Too many requests of trackers from this address: try again later"},
    [LIMIT_TRACKER_TOKEN] = {"tracker-token",
                             "Too many requests of trackers with this token: try again later"},
    [LIMIT_SIGN_IN] = {"sign-in", "Too many sign-ins from this address: try again later"},
    [LIMIT_SIGN_UP] = {"sign-up", "Too many new accounts from this address: try again later"},
    [LIMIT_PASSWORD] = {"password", "Too many wrong passwords: try again later"},
    [LIMIT_ACCOUNT] = {"account", "Too many wrong passwords: try again later"},
    [LIMIT_CREDENTIAL] = {"credential",
                          "Too many credentials that nobody holds, from this address: try again later"},
};

static struct metric_counter refused[LIMITS];

struct limits {
    struct rate_table *tables[LIMITS]; /* NULL: not limited */
};

struct limits *limits_new(const struct rate rates[LIMITS]) {
    struct limits *limits = calloc(1, sizeof *limits);
    bool well = limits != NULL;
    for (size_t i = 0; well && i < LIMITS; i++)
        if (rates[i].interval > 0)
            well = (limits->tables[i] = rate_table_new(&rates[i])) != NULL;
    if (well)
        return limits;
    limits_free(limits);
    return NULL;
}

void limits_free(struct limits *limits) {
    for (size_t i = 0; limits && i < LIMITS; i++)
        rate_table_free(limits->tables[i]);
    free(limits);
}

/* Rounded up: who comes back then is let in. */
static int seconds_of(int64_t microseconds) {
    return (int)((microseconds + 999999) / 1000000);
}

int limits_take(struct limits *limits, enum limit limit, const void *key, size_t size) {
    struct rate_table *table = limits->tables[limit];
    return table ? seconds_of(rate_take(table, key, size, clock_monotonic())) : 0;
}

int limits_wait(struct limits *limits, enum limit limit, const void *key, size_t size) {
    struct rate_table *table = limits->tables[limit];
    return table ? seconds_of(rate_wait(table, key, size, clock_monotonic())) : 0;
}

void limits_give_back(struct limits *limits, enum limit limit, const void *key, size_t size) {
    if (limits->tables[limit])
        rate_give_back(limits->tables[limit], key, size);
}

void limits_reply(enum limit limit, struct http_request *request, int seconds) {
    metric_count(&refused[limit], 1);
    http_reply_too_many(request, about[limit].sentence, seconds);
}

void limits_metrics_write(struct buffer *out) {
    static const struct metric_family family = {"carbond_limit_refused_total",
                                                "Requests that were refused since there were too many.",
                                                METRIC_COUNTER, METRIC_NUMBER};
    metric_write_family(out, &family);
    for (size_t i = LIMIT_NONE + 1; i < LIMITS; i++) {
        const struct metric_label labels[] = {{"limit", about[i].name}, {NULL, NULL}};
        metric_write_sample(out, &family, labels, metric_counted(&refused[i]));
    }
}
