#include "api/call.h"

#include "api/gate.h"
#include "api/list.h"
#include "api/refusal.h"
#include "api/validate.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/replica.h"
#include "statements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ASK_AGAIN = 3, AWAY_PAUSE = 50 };

/* ---- who */

/* Some routes wait a moment for a database that is away: true after a pause, false when there is no more patience. */
static bool wait_for_database(const struct call *call) {
    int64_t waited = clock_monotonic() - http_request_arrival(call->request);
    if (waited >= (int64_t)call->route->database_patience * 1000)
        return false;
    nanosleep(&(struct timespec){.tv_nsec = AWAY_PAUSE * 1000000L}, NULL);
    return true;
}

bool call_admits(const struct api_route *route, const struct caller *caller) {
    switch (caller->kind) {
    case CALLER_NOBODY: return route->admits & ADMITS_NOBODY;
    case CALLER_USER: return route->admits & ADMITS_USER;
    case CALLER_PROJECT: break;
    }
    return ((route->admits & ADMITS_READ) && (caller->access & ACCESS_READ)) ||
           ((route->admits & ADMITS_WRITE) && (caller->access & ACCESS_WRITE));
}

static bool reads_only(const struct api_route *route) {
    return strcmp(route->method, "GET") == 0;
}

/* Credentials that do not count here are none: the statement then finds what is public, or nothing. The address is for the
 * audit. */
static void set_caller(struct call *call) {
    static const struct caller nobody = {0};
    caller_format(call_admits(call->route, &call->caller) ? &call->caller : &nobody, call->caller_text);
    arguments_set(&call->arguments, "caller", call->caller_text);
    arguments_set(&call->arguments, "address", http_request_address_text(call->request));
}

/* False: an answer was left. What needs credentials whatever the id says so before it looks at anything else. */
static bool authenticate(struct call *call) {
    const struct api_route *route = call->route;
    enum db_outcome outcome;
    if (gate_refuse_guess(call))
        return false;
    do
        outcome = caller_find(call->api->auth, call->db, call->request, &call->caller);
    while (outcome == DB_AWAY && wait_for_database(call));
    if (outcome != DB_OK) {
        call_reply_outcome(call, outcome);
        return false;
    }
    gate_note_guess(call);
    if (call->caller.kind == CALLER_NOBODY && !(route->admits & ADMITS_NOBODY)) {
        refusal_reply(REFUSAL_NO_CREDENTIALS, call->request);
        return false;
    }
    if (call->caller.by_browser && !reads_only(route) && !http_request_origin_trusted(call->request)) {
        http_reply_error(call->request, 403,
                         "From a browser, the Origin must be this server's or a configured one");
        return false;
    }
    set_caller(call);
    return true;
}

/* ---- what */

static bool read_arguments(struct call *call) {
    validate_path(call->request, &call->arguments, &call->faults);
    validate_query(call->request, call->route->query, &call->arguments, &call->faults);
    if (!faults_any(&call->faults) && call->route->body && !call->route->reads_body)
        validate_body(call->request, call->route->body, &call->document, &call->arguments, &call->faults);
    if (!faults_any(&call->faults))
        return true;
    faults_reply(&call->faults, call->request);
    return false;
}

/* Without an id to look for, a caller whose credentials do not count here is told at once. */
static bool refuse_kind(struct call *call) {
    if (call->route->of[0] || call_admits(call->route, &call->caller))
        return false;
    call_reply_miss(call);
    return true;
}

/* ---- the database */

enum db_outcome call_ask(struct call *call, const struct db_taker *taker) {
    const struct db_statement *statement = call->route->statement;
    const struct replica_reader reader = {call->api->replica, call->copy, call->db};
    const char *values[DB_PARAMETERS];
    enum db_outcome outcome;
    arguments_bind(&call->arguments, statement, values);
    if (call->copy && replica_query(&reader, statement, values, taker, &outcome))
        return outcome;
    return db_query(call->db, statement, values, taker->take, taker->context);
}

enum db_outcome call_query(struct call *call, const struct db_statement *statement, db_row_handler *handler,
                           void *context) {
    const char *values[DB_PARAMETERS];
    arguments_bind(&call->arguments, statement, values);
    return db_query(call->db, statement, values, handler, context);
}

enum db_outcome call_query_text(struct call *call, const struct db_statement *statement, char **value) {
    const char *values[DB_PARAMETERS];
    arguments_bind(&call->arguments, statement, values);
    return db_query_text(call->db, statement, values, value);
}

void call_reply_outcome(struct call *call, enum db_outcome outcome) {
    switch (outcome) {
    case DB_AWAY: refusal_reply(REFUSAL_AWAY, call->request); return;
    case DB_TAKEN: refusal_reply(REFUSAL_TAKEN, call->request); return;
    case DB_REFUSED:
        if (call->route->body) {
            faults_add(&call->faults, "body", NULL, "value_error", REFUSED_VALUE);
            faults_reply(&call->faults, call->request);
            return;
        }
        log_error("the database refuses what nobody sent", "route", call->route->path);
        break;
    case DB_OK:
    case DB_FAILED: break;
    }
    refusal_reply(REFUSAL_FAILED, call->request);
}

/* ---- nothing found */

/* The id's kind is its argument's name: "project_id" is of a project. */
static enum db_outcome look_for(struct call *call, const char *argument, bool *exists, char kind[32]) {
    snprintf(kind, 32, "%.*s", (int)(strlen(argument) - strlen("_id")), argument);
    const char *values[] = {kind, arguments_get(&call->arguments, argument)};
    char *found;
    enum db_outcome outcome = db_query_text(call->db, &sql_exists, values, &found);
    *exists = outcome == DB_OK && found && strcmp(found, "t") == 0;
    free(found);
    return outcome;
}

void call_reply_miss(struct call *call) {
    char kind[32], sentence[64];
    for (size_t i = 0; i < 2 && call->route->of[i]; i++) {
        bool exists;
        if (!arguments_get(&call->arguments, call->route->of[i]))
            continue;
        enum db_outcome outcome = look_for(call, call->route->of[i], &exists, kind);
        if (outcome != DB_OK) {
            call_reply_outcome(call, outcome);
            return;
        }
        if (!exists) {
            snprintf(sentence, sizeof sentence, "There is no %s with this id", kind);
            http_reply_error(call->request, 404, sentence);
            return;
        }
    }
    if (call->caller.kind == CALLER_NOBODY)
        refusal_reply(REFUSAL_NO_CREDENTIALS, call->request);
    else
        refusal_reply(REFUSAL_FORBIDDEN, call->request);
}

/* ---- one row */

struct one {
    bool found;
    bool failed;
    int status; /* -1: the route's */
    char *text;
};

static bool take_one(void *context, const struct db_row *row) {
    struct one *one = context;
    if (one->found)
        return true;
    one->found = true;
    if (row->columns[0]) {
        one->text = strdup(row->columns[0]);
        one->failed = !one->text;
    }
    if (row->count > 1 && row->columns[1])
        one->status = (int)strtol(row->columns[1], NULL, 10);
    return true;
}

static bool forget_one(void *context) {
    struct one *one = context;
    free(one->text);
    *one = (struct one){.status = -1};
    return true;
}

static enum db_outcome ask_one(struct call *call, struct one *one) {
    const struct db_taker taker = {take_one, forget_one, one};
    enum db_outcome outcome = DB_FAILED;
    for (int attempt = 0; attempt < ASK_AGAIN; attempt++) {
        forget_one(one);
        outcome = call_ask(call, &taker);
        if (outcome != DB_OK || one->status != 0)
            break;
    }
    return outcome == DB_OK && one->failed ? DB_FAILED : outcome;
}

static void reply_one(struct call *call, struct one *one) {
    int status = one->status >= 0 ? one->status : call->route->status ? call->route->status : 200;
    char *text = one->text;
    one->text = NULL;
    if (!text) {
        http_reply_empty(call->request, status);
        return;
    }
    if (call->route->finish && status < 400)
        text = call->route->finish(call, text);
    http_reply_json(call->request, status, text);
}

static void answer_one(struct call *call) {
    struct one one = {0};
    enum db_outcome outcome = ask_one(call, &one);
    if (outcome != DB_OK)
        call_reply_outcome(call, outcome);
    else if (!one.found)
        call_reply_miss(call);
    else if (one.status == 0)
        call_reply_outcome(call, DB_AWAY);
    else
        reply_one(call, &one);
    free(one.text);
}

/* ---- the whole */

static void answer(struct call *call) {
    if (call->route->open) {
        call->route->handle(call);
        return;
    }
    if (!authenticate(call) || !read_arguments(call) || refuse_kind(call))
        return;
    if (call->route->prepare && !call->route->prepare(call))
        return;
    if (call->route->handle)
        call->route->handle(call);
    else if (call->route->shape == SHAPE_ONE)
        answer_one(call);
    else
        list_answer(call);
}

void call_handle(struct http_request *request, void *context) {
    const struct api_worker *worker = context;
    const struct api_route *route = http_request_match(request)->route->data;
    struct call call = {
        .request = request,
        .route = route,
        .api = worker->api,
        .db = worker->db,
        .copy = route->replica ? worker->copy : NULL,
    };
    answer(&call);
    json_decref(call.document);
    json_decref(call.faults.list);
}
