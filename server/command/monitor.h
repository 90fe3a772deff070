/* The listener for those who watch over the server: GET /metrics (for Prometheus) and GET /healthz. It is a server of its own
 * with a thread of its own, so that a scrape costs clients nothing and is answered however busy they keep the other. It
 * asks nobody who they are, and speaks no TLS: keep it on loopback or behind a firewall. */
#pragma once

#include "http/server.h"

struct monitor;

/* Serves at HOST:PORT what there is to know of `watched`, which must outlive it. NULL if it cannot (logged). */
struct monitor *monitor_start(const char *listen, struct http_server *watched);

/* Where it listens; NULL if there is none. */
const char *monitor_address(const struct monitor *monitor);

/* Answers what has begun, and ends. NULL is none. */
void monitor_stop(struct monitor *monitor);
