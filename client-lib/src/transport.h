/* HTTP, by libcurl: one request at a time in each lane, all driven by one thread. Connections are kept. */
#pragma once

#include "carbond.h"
#include "runs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transport;

/* What came of a request. */
struct reply {
    int status;       /* 0: no whole answer came */
    const char *body; /* valid until the lane's next request; not terminated */
    size_t length;
    int64_t retry_after; /* ms that the server asked for, or 0 */
    const char *problem; /* where no answer came: why */
};

struct request {
    const char *path; /* after the URL of the options */
    const char *type; /* Content-Type */
    bool is_gzip;
    const void *body; /* stays the caller's, and must stay until the request has ended */
    size_t length;
    const char *token; /* or NULL */
};

/* NULL when out of memory. The options must live as long. */
struct transport *transport_new(const carbond_options *options);

/* Breaks off what is under way. */
void transport_free(struct transport *transport);

/* After fork(), in the child: closes the parent's connections, without a word to the server. Calls nothing but close().
 * The transport must not be used or freed from then on. */
void transport_forget(struct transport *transport);

/* Begins a request. False when out of memory. */
bool transport_post(struct transport *transport, unsigned lane, const struct request *request);

/* Sends and receives, and waits up to `timeout` ms for something to do. */
void transport_work(struct transport *transport, int timeout);

/* True once when the lane's request has ended. */
bool transport_take(struct transport *transport, unsigned lane, struct reply *reply);

/* Ends transport_work's wait. Any thread. */
void transport_wake(struct transport *transport);
