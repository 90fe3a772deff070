/* A server as a whole: what its parts are told (settings.c), their start and their end (service.c). */
#pragma once

#include "api/call.h"
#include "config.h"
#include "db/replica.h"
#include "http/server.h"
#include "upkeep/upkeep.h"

#include <stdbool.h>

struct monitor;

/* What the workers of one lane are made of. */
struct lane_owner {
    struct api *api;
    const struct db_settings *database;
    const struct db_settings *copy; /* of it; NULL: there is none */
};

/* Everything that lives as long as the server. */
struct service {
    struct db_settings database;
    /* For lists: PostgreSQL's timeout goes on while a client reads slowly. */
    struct db_settings streaming;
    /* The same of the replica. */
    struct db_settings database_copy, streaming_copy;
    struct replica replica;
    struct lane_owner owners[HTTP_LANES];
    struct auth_settings auth;
    struct http_server_settings http;
    struct tls *tls; /* NULL without --tls-cert */
    char transport_security[32];
    struct api api;
    struct api_worker inline_worker;
    struct http_route *routes;
    struct http_server *server;
    struct upkeep *upkeep;
    struct monitor *monitor; /* NULL with --metrics-listen none */
};

/* What the options mean to each part. False: they make no sense together, or name a file that cannot be used; the log says
 * which. Whatever the result, service_stop frees what there is. */
bool service_configure(struct service *service, const struct config *config);

/* Reads the files anew that may have changed: certificates, keys. What cannot be used leaves what was before. */
void service_reload(struct service *service, const struct config *config);

/* Starts all threads; from then on clients are served. False, and the log says why, if a part cannot start. */
bool service_start(struct service *service, const struct config *config);

/* First the load balancer learns that we go, then new connections end, then what has begun is answered: blocks for the drain
 * delay, and then until all is answered, for the grace time at most. */
void service_wind_down(struct service *service, const struct config *config);

/* Ends and frees what has been configured and started, however far that had come. */
void service_stop(struct service *service);
