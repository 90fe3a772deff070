/* How often somebody may do something. One table says what is limited, by what it is counted, and what who does it too
 * often is told; how much is configured (--rate-...), and base/rate.h keeps the count.
 *
 * A request that would store a measurement is refused by none of these unless an administrator says so: today's trackers
 * would lose it. */
#pragma once

#include "base/buffer.h"
#include "base/rate.h"
#include "http/request.h"

enum limit {
    LIMIT_NONE,            /* what is not limited */
    LIMIT_ADDRESS,         /* requests from an address, but for those of trackers */
    LIMIT_TOKEN,           /* the same, with one token, session or JWT */
    LIMIT_TRACKER_ADDRESS, /* what trackers send, from an address */
    LIMIT_TRACKER_TOKEN,   /* the same, with one token */
    LIMIT_SIGN_IN,    /* sign-ins from an address, right or wrong: each takes a worker tenths of a second */
    LIMIT_SIGN_UP,    /* accounts made from an address */
    LIMIT_PASSWORD,   /* wrong passwords for an account, from an address */
    LIMIT_ACCOUNT,    /* wrong passwords for an account, from all addresses where its owner is not known */
    LIMIT_CREDENTIAL, /* tokens, sessions and JWTs that nobody holds, from an address */
    LIMITS,
};

struct limits;

/* Without a rate (base/rate.h) nothing is limited. NULL when out of memory. */
struct limits *limits_new(const struct rate rates[LIMITS]);
void limits_free(struct limits *limits);

/* Counts one of what the limit is about for the key: 0, or the seconds until there may be one again. From any thread; does
 * not wait, as base/rate.h says. */
int limits_take(struct limits *limits, enum limit limit, const void *key, size_t size);

/* What limits_take would return. */
int limits_wait(struct limits *limits, enum limit limit, const void *key, size_t size);

/* One that was taken does not count. */
void limits_give_back(struct limits *limits, enum limit limit, const void *key, size_t size);

/* Leaves a 429, and counts it. */
void limits_reply(enum limit limit, struct http_request *request, int seconds);

/* Appends what Prometheus may know. */
void limits_metrics_write(struct buffer *out);
