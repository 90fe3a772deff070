/* The HTTP server: libmicrohttpd with one event thread (http/loop.h), which reads requests, refuses what is malformed,
 * finds the route and hands the request to a lane of workers. Handlers never run on the event thread, but those of
 * HTTP_LANE_INLINE. */
#pragma once

#include "base/buffer.h"
#include "http/address.h"
#include "http/lane.h"
#include "http/route.h"
#include "http/tls.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

struct http_server_settings {
    const char *listen;             /* HOST:PORT; port 0: any that is free */
    const char *option;             /* where that was said, for the log */
    struct tls *tls;                /* NULL: plain HTTP */
    const char *transport_security; /* the value of Strict-Transport-Security; NULL: none */
    const char *const *cors_origins;
    size_t cors_origin_count;
    const struct http_network *trusted_proxies; /* whose word on the client counts (http/forwarded.h) */
    size_t trusted_proxy_count;
    unsigned connection_limit; /* who comes beyond it gets 503 */
    size_t body_memory;        /* bytes that the bodies of all requests may take together: beyond that 503 */
    /* Of what follows, 0 is no limit. */
    unsigned connections_per_address; /* beyond that 429; proxies that are trusted may have more */
    unsigned requests_per_connection; /* the last one's reply closes it */
    /* Seconds: see enum connection_phase. */
    int header_timeout;
    int body_timeout;
    int send_timeout;
    int idle_timeout;
    size_t minimum_rate; /* bytes a second of a body, or of a reply, for which there is more time than that */
    int queue_timeout;   /* seconds that a request waits for a worker: then 503 */
};

enum { HTTP_LANE_INLINE = 0, HTTP_LANES = 4 };

struct http_server;

/* Keeps pointers to the settings and routes. NULL when out of memory. `inline_context` is what handlers of
 * HTTP_LANE_INLINE get: they must not block. */
struct http_server *http_server_new(const struct http_server_settings *settings,
                                    const struct http_route *routes, size_t route_count,
                                    void *inline_context);

/* Lanes are numbered from 1 in the order of these calls; `work` is set here. False when out of memory or threads. */
bool http_server_add_lane(struct http_server *server, const struct lane_settings *lane);

/* Listens and serves. False if it cannot (logged). */
bool http_server_start(struct http_server *server);

/* Where it listens: "127.0.0.1:8008". */
const char *http_server_address(const struct http_server *server);

/* Appends what Prometheus may know of it: requests, connections, lanes. From any thread, until http_server_free. */
void http_server_write_metrics(const struct http_server *server, struct buffer *out);

/* From now on every reply closes its connection. */
void http_server_drain(struct http_server *server);
bool http_server_is_draining(const struct http_server *server);

/* Drains, takes no new connections, and waits until all requests that have begun are answered: true, or false after that many
 * milliseconds. While there are connections, it waits for some more (a quarter of a second): who had just connected, or was
 * between two requests, is answered as well. */
bool http_server_finish(struct http_server *server, int milliseconds);

/* Cuts what still goes on: interrupts the lanes and ends streams. Then frees everything. */
void http_server_free(struct http_server *server);

/* ---- for the files of http/ */

const struct http_server_settings *http_server_settings(const struct http_server *server);
struct http_stream *http_server_stream(struct http_server *server, struct MHD_Connection *connection,
                                       bool compressed);

/* Sends a suspended connection back to the event thread. From any thread. */
void http_server_resume(struct http_server *server, struct MHD_Connection *connection);
