#include "api/routes.h"

#include "api/call.h"
#include "api/emission_batch.h"
#include "api/emissions.h"
#include "api/gate.h"
#include "api/sessions.h"
#include "api/status.h"
#include "api/tokens.h"
#include "http/server.h"
#include "statements.h"

#include <stdlib.h>

enum { BODY_LIMIT = 64 * 1024 };

/* Who may ask. What is read below a public project needs no credentials; whatever else is read by its id admits nobody
 * only so far as to tell them whether there is such an id. */
#define MEMBERS (ADMITS_USER)
#define BY_ID   (ADMITS_USER | ADMITS_NOBODY)
#define READERS (ADMITS_USER | ADMITS_NOBODY | ADMITS_READ)
#define WRITERS (ADMITS_USER | ADMITS_WRITE)
#define ANYONE  (ADMITS_USER | ADMITS_NOBODY | ADMITS_READ | ADMITS_WRITE)

/* clang-format off */

#define ROUTE(verb, pattern, sql, id, who) \
    .method = verb, .path = pattern, .statement = &sql_##sql, .of = {id}, .admits = who
/* What costs more than asking whether a replica is as far as the primary. */
#define READ(pattern, sql, id, who)          ROUTE("GET", pattern, sql, id, who), .replica = true
#define GET(pattern, sql, id, who)           {ROUTE("GET", pattern, sql, id, who)}
#define REPORT(pattern, sql, id, who)        {READ(pattern, sql, id, who), .query = query_range}
#define LIST(pattern, sql, id, who) \
    {READ(pattern, sql, id, who), .shape = SHAPE_LIST, .lane = LANE_STREAM}
#define REPORTS(pattern, sql, id, who) \
    {READ(pattern, sql, id, who), .shape = SHAPE_LIST, .lane = LANE_STREAM, .query = query_range}
#define SEARCH(pattern, sql, id, who, by) \
    {READ(pattern, sql, id, who), .shape = SHAPE_LIST, .lane = LANE_STREAM, .query = by}
#define PAGE(pattern, sql, id, who) \
    {READ(pattern, sql, id, who), .shape = SHAPE_PAGE, .lane = LANE_STREAM, .query = query_page}
#define CREATE(pattern, sql, id, who, what)  {ROUTE("POST", pattern, sql, id, who), .body = &body_##what, .status = 201}
#define TRACK(pattern, sql, id, what) \
    {ROUTE("POST", pattern, sql, id, WRITERS), .class = CLASS_TRACKER, .body = &body_##what, .status = 201}
#define EMISSION(pattern) \
    {.method = "POST", .path = pattern, .admits = WRITERS, .class = CLASS_TRACKER, \
     .body = &body_emission, .status = 201, .of = {"run_id"}, \
     .try_at_once = emissions_try, .handle = emissions_create, .database_patience = EMISSION_PATIENCE}
#define BATCH(pattern) \
    {.method = "POST", .path = pattern, .admits = WRITERS, .class = CLASS_TRACKER, \
     .body = &body_batch_emission, .reads_body = true, \
     .also_takes = HTTP_BODY_NDJSON | HTTP_BODY_GZIP, .body_limit = EMISSION_BATCH_LIMIT, \
     .handle = emission_batch_create, .database_patience = EMISSION_PATIENCE}
#define TOKEN(pattern, sql, id, who, what, before, after) \
    {ROUTE("POST", pattern, sql, id, who), .body = &body_##what, .status = 201, .prepare = before, .finish = after}
#define ACCOUNT(pattern, sql, id, who, what, before, after) \
    {ROUTE("POST", pattern, sql, id, who), .body = &body_##what, .status = 201, .prepare = before, .finish = after, \
     .lane = LANE_PASSWORD, .class = CLASS_SIGN_UP}
#define CHANGE(verb, pattern, sql, id, who, what)  {ROUTE(verb, pattern, sql, id, who), .body = &body_##what}
#define DELETE(pattern, sql, id, who)        {ROUTE("DELETE", pattern, sql, id, who), .status = 204}
#define OWN(verb, pattern, function)         {.method = verb, .path = pattern, .handle = function, .admits = ANYONE}
#define OPEN(pattern, function, on) \
    {.method = "GET", .path = pattern, .handle = function, .open = true, .lane = on}
#define PROBE(pattern, function, on) \
    {.method = "GET", .path = pattern, .handle = function, .open = true, .lane = on, .class = CLASS_PROBE}
#define SIGN_IN(pattern, function, more) \
    {.method = "POST", .path = pattern, .handle = function, .admits = ANYONE, .body = &body_credentials, \
     .also_takes = more, .lane = LANE_PASSWORD, .class = CLASS_SIGN_IN}

#define CREATE_PROJECT(pattern) \
    {.method = "POST", .path = pattern, .statement = &sql_project_create, .of = {"organization_id", "team_id"}, \
     .admits = MEMBERS, .body = &body_project, .status = 201}

/* Each route of the first generation of clients (singular) stands beside the one of the second (plural). */
const struct api_route api_routes[] = {
    PROBE("/",                                                      status_root,              LANE_INLINE),
    PROBE("/healthz",                                               status_alive,             LANE_INLINE),
    PROBE("/readyz",                                                status_ready,             LANE_PLAIN),
    OPEN("/openapi.json",                                           status_specification_json, LANE_PLAIN),
    OPEN("/openapi.yaml",                                           status_specification_yaml, LANE_PLAIN),

    CREATE("/organizations",                                        organization_create,      NULL, MEMBERS, organization),
    CREATE("/organization",                                         organization_create,      NULL, MEMBERS, organization),
    LIST("/organizations",                                          organization_list,        NULL, MEMBERS),
    GET("/organizations/{organization_id}",                         organization_get, "organization_id", BY_ID),
    GET("/organization/{organization_id}",                          organization_get, "organization_id", BY_ID),
    CHANGE("PATCH", "/organizations/{organization_id}",             organization_patch, "organization_id", MEMBERS, organization_patch),
    REPORT("/organizations/{organization_id}/sums",                 organization_sums, "organization_id", BY_ID),
    REPORT("/organization/{organization_id}/sums",                  organization_sums, "organization_id", BY_ID),
    LIST("/organizations/{organization_id}/users",                  organization_users, "organization_id", BY_ID),
    PAGE("/organizations/{organization_id}/audit",                  organization_audit, "organization_id", BY_ID),
    CHANGE("PATCH", "/organizations/{organization_id}/users/{user_id}", member_patch, "organization_id", MEMBERS, membership),
    DELETE("/organizations/{organization_id}/users/{user_id}",      member_remove, "organization_id", MEMBERS),
    CHANGE("POST", "/organizations/{organization_id}/add-user",     member_add, "organization_id", MEMBERS, add_user),
    LIST("/organizations/{organization_id}/projects",               organization_projects, "organization_id", BY_ID),
    SEARCH("/projects",                                             organization_projects, "organization_id", BY_ID, query_organization),

    CREATE("/team",                                                 team_create, "organization_id", MEMBERS, team),
    LIST("/teams",                                                  team_list,                NULL, MEMBERS),
    GET("/team/{team_id}",                                          team_get,                 "team_id", BY_ID),
    LIST("/teams/organization/{organization_id}",                   organization_teams, "organization_id", BY_ID),
    LIST("/projects/team/{team_id}",                                team_projects,            "team_id", BY_ID),

    CREATE_PROJECT("/projects"),
    CREATE_PROJECT("/project"),
    GET("/projects/{project_id}",                                   project_get,              "project_id", READERS),
    GET("/project/{project_id}",                                    project_get,              "project_id", READERS),
    CHANGE("PATCH", "/projects/{project_id}",                       project_patch,            "project_id", MEMBERS, project_patch),
    DELETE("/projects/{project_id}",                                project_delete,           "project_id", MEMBERS),
    REPORT("/projects/{project_id}/sums",                           project_sums,             "project_id", READERS),
    REPORT("/project/{project_id}/sums",                            project_sums,             "project_id", READERS),
    TOKEN("/projects/{project_id}/api-tokens",                      project_token_create,     "project_id",      MEMBERS, project_token, tokens_prepare_project_token, tokens_finish),
    LIST("/projects/{project_id}/api-tokens",                       project_token_list,       "project_id", BY_ID),
    DELETE("/projects/{project_id}/api-tokens/{token_id}",          project_token_revoke,     "project_id", MEMBERS),

    TRACK("/experiments",                                           experiment_create,        "project_id", experiment),
    TRACK("/experiment",                                            experiment_create,        "project_id", experiment),
    GET("/experiments/{experiment_id}",                             experiment_get,           "experiment_id", READERS),
    GET("/experiment/{experiment_id}",                              experiment_get,           "experiment_id", READERS),
    LIST("/projects/{project_id}/experiments",                      project_experiments,      "project_id", READERS),
    LIST("/experiments/project/{project_id}",                       project_experiments,      "project_id", READERS),
    REPORTS("/projects/{project_id}/experiments/sums",              project_experiments_sums, "project_id", READERS),
    REPORTS("/experiments/{project_id}/sums",                       project_experiments_sums, "project_id", READERS),

    TRACK("/runs",                                                  run_create,               "experiment_id", run),
    TRACK("/run",                                                   run_create,               "experiment_id", run),
    LIST("/runs",                                                   run_list,                 NULL, ADMITS_USER | ADMITS_READ),
    GET("/runs/{run_id}",                                           run_get,                  "run_id", READERS),
    GET("/run/{run_id}",                                            run_get,                  "run_id", READERS),
    LIST("/experiments/{experiment_id}/runs",                       experiment_runs,          "experiment_id", READERS),
    LIST("/runs/experiment/{experiment_id}",                        experiment_runs,          "experiment_id", READERS),
    REPORTS("/experiments/{experiment_id}/runs/sums",               experiment_runs_sums,     "experiment_id", READERS),
    REPORTS("/runs/{experiment_id}/sums",                           experiment_runs_sums,     "experiment_id", READERS),
    REPORT("/lastrun/project/{project_id}",                         project_last_run,         "project_id", READERS),

    EMISSION("/emissions"),
    EMISSION("/emission"),
    BATCH("/emissions/batch"),
    GET("/emissions/{emission_id}",                                 emission_get,             "emission_id", READERS),
    GET("/emission/{emission_id}",                                  emission_get,             "emission_id", READERS),
    PAGE("/runs/{run_id}/emissions",                                run_emissions,            "run_id", READERS),
    PAGE("/emissions/run/{run_id}",                                 run_emissions,            "run_id", READERS),

    ACCOUNT("/user",                                                user_create,              NULL,              ANYONE, user, tokens_prepare_user, NULL),
    ACCOUNT("/user/signup",                                         user_signup,              NULL,              ANYONE, user, tokens_prepare_signup, tokens_finish_signup),
    LIST("/users",                                                  user_list,                NULL, MEMBERS),
    GET("/user/{user_id}",                                          user_get,                 "user_id", BY_ID),
    TOKEN("/user/tokens",                                           user_token_create,        NULL,              MEMBERS, user_token, tokens_prepare_user_token, tokens_finish),
    LIST("/user/tokens",                                            user_token_list,          NULL, MEMBERS),
    DELETE("/user/tokens/{token_id}",                               user_token_revoke,        NULL, MEMBERS),

    SIGN_IN("/authenticate",                                        tokens_authenticate,      HTTP_BODY_NONE),
    OWN("GET", "/auth/check", sessions_check),
    OWN("GET", "/auth/login", sessions_login_page),
    SIGN_IN("/auth/login",                                          sessions_login,           HTTP_BODY_FORM),
    OWN("GET", "/auth/logout", sessions_logout),
    OWN("POST", "/auth/logout", sessions_logout),
};

/* clang-format on */

const size_t api_route_count = sizeof api_routes / sizeof api_routes[0];

static unsigned body_of(const struct api_route *route) {
    if (!route->body)
        return HTTP_BODY_NONE;
    return HTTP_BODY_JSON | route->also_takes;
}

struct http_route *api_http_routes(void) {
    struct http_route *routes = calloc(api_route_count, sizeof *routes);
    for (size_t i = 0; routes && i < api_route_count; i++)
        routes[i] = (struct http_route){
            .method = api_routes[i].method,
            .pattern = api_routes[i].path,
            .body = body_of(&api_routes[i]),
            .body_limit = api_routes[i].body_limit ? api_routes[i].body_limit : BODY_LIMIT,
            .lane = api_routes[i].lane == LANE_INLINE ? HTTP_LANE_INLINE : (int)api_routes[i].lane + 1,
            .refuse = gate_refuse,
            .try_at_once = api_routes[i].try_at_once,
            .handle = call_handle,
            .data = &api_routes[i],
            .probe = api_routes[i].class == CLASS_PROBE,
        };
    return routes;
}
