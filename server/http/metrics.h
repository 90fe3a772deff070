/* What a server tells of its requests: how many by route and status, and how long they took. A route goes by its pattern
 * and a status by a table of known ones, so that no client can make a label. */
#pragma once

#include "base/buffer.h"
#include "http/route.h"

#include <stdint.h>

struct http_metrics;

/* Keeps a pointer to the routes. NULL when out of memory. */
struct http_metrics *http_metrics_new(const struct http_route *routes, size_t count);
void http_metrics_free(struct http_metrics *metrics);

/* Counts a request that is over. `route` is one of the routes, or NULL: none was found. `status` 0: the client left before
 * its answer. Takes no lock; from any thread. */
void http_metrics_count(struct http_metrics *metrics, const struct http_route *route, int status,
                        int64_t microseconds);

/* Appends the text. Routes that nobody has asked for yet are left out. */
void http_metrics_write(const struct http_metrics *metrics, struct buffer *out);
