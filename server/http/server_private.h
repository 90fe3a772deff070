/* The server, as the files of http/ know it. For these files only. */
#pragma once

#include "base/metric.h"
#include "http/forwarded.h"
#include "http/metrics.h"
#include "http/server.h"

#include <pthread.h>
#include <stdatomic.h>

struct http_server {
    const struct http_server_settings *settings;
    struct http_router *router;
    struct http_metrics *metrics;
    struct metric_gauge connections; /* of clients, open */
    void *inline_context;
    struct lane *lanes[HTTP_LANES];
    int lane_count;
    struct MHD_Daemon *daemon;
    int listener;
    char address[80];
    atomic_size_t body_bytes; /* of all requests' bodies */
    atomic_bool draining;
    atomic_bool closing;
    pthread_mutex_t lock; /* guards `active` alone; nothing else is locked under it */
    pthread_cond_t idle;
    int active; /* requests whose headers are read and whose reply is not sent */
};

void http_server_count(struct http_server *server, int change);

/* Who is at the other end of a connection. */
struct http_peer {
    struct http_client client;
    bool is_proxy;                       /* one of the configured ones: it tells on whose behalf it comes */
    struct tls_credentials *credentials; /* NULL: plain HTTP */
};

/* Lives as long as the connection. */
const struct http_peer *http_server_peer(struct MHD_Connection *connection);
