/* The server, as the files of http/ know it. For these files only. */
#pragma once

#include "base/metric.h"
#include "http/connection.h"
#include "http/deadline.h"
#include "http/loop.h"
#include "http/metrics.h"
#include "http/server.h"
#include "http/source.h"
#include "http/watch.h"

#include <pthread.h>
#include <stdatomic.h>

struct http_server {
    const struct http_server_settings *settings;
    struct http_router *router;
    struct http_metrics *metrics;
    struct metric_gauge connections; /* of clients, open */
    struct connection_figures turned_away;
    struct source_table *sources; /* the event thread's, like the deadlines */
    struct deadline_wheel deadlines;
    struct watch watch;
    struct http_loop loop;
    void *inline_context;
    struct lane *lanes[HTTP_LANES];
    int lane_count;
    struct MHD_Daemon *daemon; /* NULL: not started */
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
