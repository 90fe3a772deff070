/* One request to the API on a worker: who calls, with what, and what is answered. */
#pragma once

#include "api/arguments.h"
#include "api/emission_reader.h"
#include "api/faults.h"
#include "api/routes.h"
#include "auth/caller.h"
#include "db/connection.h"
#include "http/reply.h"

#include <jansson.h>
#include <stdatomic.h>

struct guesses;
struct ingest;
struct limits;
struct replica;

/* What all calls share. */
struct api {
    const struct auth_settings *auth;
    struct ingest *ingest; /* where emissions go */
    struct limits *limits;
    struct guesses *guesses;
    struct replica *replica;
    struct emission_reader emission_reader;
    struct emission_reader batch_reader; /* of the emissions of a batch */
    const char *frontend_url;            /* where browsers are sent to; NULL: nowhere */
    const char *frontend_origin;         /* of it; "" if there is none */
    const char *cookie_samesite;         /* Lax, Strict or None */
    bool signup_open;
    atomic_bool draining; /* /readyz says so */
};

/* What one worker has for itself. */
struct api_worker {
    struct api *api;
    struct db *db;
    struct db *copy; /* to the replica; NULL: there is none */
};

struct call {
    struct http_request *request;
    const struct api_route *route;
    struct api *api;
    struct db *db;
    struct db *copy;      /* to the replica, if the route may be answered by one; NULL */
    struct caller caller; /* as the credentials prove */
    char caller_text[CALLER_TEXT_SIZE];
    struct arguments arguments;
    struct faults faults;
    json_t *document; /* the body */
    char secret[64];  /* made by `prepare`, told by `finish` */
    char secret_hash[72];
    char password_hash[128];
};

/* Handles a request by its row of the route table: the `handle` of every http_route of the API. `worker` is a
 * struct api_worker. */
void call_handle(struct http_request *request, void *worker);

/* Whether the caller's credentials count for the route. */
bool call_admits(const struct api_route *route, const struct caller *caller);

/* Leaves the answer for a statement that failed. */
void call_reply_outcome(struct call *call, enum db_outcome outcome);

/* Leaves the answer for a statement that found nothing for this caller: 404, 401 or 403. */
void call_reply_miss(struct call *call);

/* Runs the route's statement with the call's arguments, on the replica if that will do. */
enum db_outcome call_ask(struct call *call, const struct db_taker *taker);

/* Runs a statement with the call's arguments. */
enum db_outcome call_query(struct call *call, const struct db_statement *statement, db_row_handler *handler,
                           void *context);

/* The same, for the first column of the first row. */
enum db_outcome call_query_text(struct call *call, const struct db_statement *statement, char **value);
