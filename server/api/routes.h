/* The one table of routes: for each method and path, who may ask, what is asked of the database, and in which shape
 * it answers. A GET that needs no code of its own is a file in sql/ and a line here. */
#pragma once

#include "api/members.h"
#include "db/statement.h"

#include <stdbool.h>
#include <stddef.h>

struct call;
struct http_request;
struct http_route;

enum route_shape {
    SHAPE_ONE,  /* the first row is the answer; its second column may hold another status (0: ask again) */
    SHAPE_LIST, /* each row an element, streamed; a null stands for "found, and empty" */
    SHAPE_PAGE, /* the same as `items`; the second column is the object around it */
};

/* Whose credentials count; those of others are as good as none. */
enum route_admits {
    ADMITS_NOBODY = 1, /* no credentials needed: the statement answers what is public */
    ADMITS_USER = 2,
    ADMITS_READ = 4,  /* project tokens that may read */
    ADMITS_WRITE = 8, /* project tokens that may write */
};

/* Which threads work: LANE_STREAM for what a slow reader may hold up, LANE_PASSWORD for what takes Argon2's time and
 * memory, LANE_INLINE (the event thread) for what takes neither time nor the database. */
enum route_lane { LANE_PLAIN, LANE_STREAM, LANE_PASSWORD, LANE_INLINE };

/* By which limits its requests are counted (api/gate.c). */
enum route_class {
    CLASS_QUESTION, /* most */
    CLASS_TRACKER,  /* what a measurement depends on: today's trackers lose it when one of these is refused */
    CLASS_SIGN_IN,
    CLASS_SIGN_UP,
    CLASS_PROBE, /* never refused: load balancers ask */
};

struct api_route {
    const char *method;
    const char *path;
    const struct db_statement *statement;
    enum route_shape shape;
    unsigned admits;
    const char *of[2]; /* the arguments whose ids must be there: when no row comes, they tell 404 from 403 */
    const struct body *body;
    const struct member *query;
    int status; /* 0: 200 */
    enum route_lane lane;
    enum route_class class;
    int database_patience; /* milliseconds that it waits for a database that is away */
    bool replica;          /* a replica of the database may answer */
    bool open;             /* the handler runs at once: nobody is asked who they are, nothing is read */
    bool reads_body;       /* the handler reads the body itself */
    size_t body_limit;     /* bytes; 0: that of a resource */
    unsigned also_takes;   /* of enum http_body: what the body may be beside JSON */
    /* Adds arguments that are not in the request; false: an answer was left. */
    bool (*prepare)(struct call *call);
    /* Makes the answer out of the statement's; takes ownership of the text and returns another, or NULL (no memory). */
    char *(*finish)(struct call *call, char *text);
    /* Instead of the statement. */
    void (*handle)(struct call *call);
    /* Tried first, on the event thread (http/route.h). */
    bool (*try_at_once)(struct http_request *request, void *worker);
};

extern const struct api_route api_routes[];
extern const size_t api_route_count;

/* The same routes as http/ wants them. The caller frees the array; NULL when out of memory. */
struct http_route *api_http_routes(void);
