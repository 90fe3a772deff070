/* A lane: one request at a time, of the runs that are this lane's. It reads the spool in its order, so that a run's
 * creation precedes its emissions, and they follow one another. Two lanes keep two requests in flight, of different runs.
 *
 * What became of a request is noted in the segments, record by record. After a failure the lane reads again from where it
 * had begun; there is no other state that could be wrong. All functions: the background thread, without the client's lock. */
#pragma once

#include "answer.h"
#include "backoff.h"
#include "batch.h"
#include "client.h"
#include "transport.h"

#include <stdbool.h>
#include <stdint.h>

/* What the lanes share. */
struct outbound {
    struct carbond_client *client;
    struct transport *transport;
    struct backoff backoff; /* the server's trouble, which all share */
    int server;             /* enum carbond_server: whose language is spoken */
    bool token_refused;     /* by the last answer that said anything about it */
    bool told;              /* the options say so: it is never changed */
    bool runs_proven;       /* POST /runs (or /run) has succeeded: a 404 there means the experiment */
    bool emissions_proven;  /* the same of emissions */
    uint64_t random;        /* for jitter */
};

enum { LANE_SEGMENTS = 16 };

/* A place in the spool. */
struct lane_place {
    uint64_t segment; /* its number */
    uint64_t at;
    uint32_t index;
};

enum lane_work { LANE_IDLE, LANE_CREATING, LANE_SENDING, LANE_PROBING };

struct lane {
    struct outbound *out;
    unsigned number;
    enum lane_work work;   /* what is in flight */
    enum lane_work probed; /* while LANE_PROBING: what the answer decides about */
    struct lane_place from,
        to; /* of the request: where reading began, and where it goes on after a success */
    struct segment *held[LANE_SEGMENTS];
    unsigned holding;
    struct segment_reader reader;
    struct batch batch;
    size_t limit;              /* emissions in a batch: fewer while a refusal is being tracked down */
    struct lane_place careful; /* up to where */
    struct carbond_run *run;   /* LANE_CREATING: whose creation */
    uint64_t dropped;          /* LANE_CREATING: the figure that it tells */
    char *creation;            /* LANE_CREATING: its body */
    int status;                /* LANE_PROBING: of the answer that is in doubt */
    char *detail;              /* LANE_PROBING: of the same */
    int64_t deferred; /* monotonic clock: when something that was passed over is due; 0: nothing was */
    struct carbond_run *last_run; /* the last one that was looked up */
};

/* False when out of memory. */
bool lane_init(struct lane *lane, unsigned number, struct outbound *out);
void lane_destroy(struct lane *lane);

/* Begins the next request, if there is something to send and nothing in flight. */
void lane_begin(struct lane *lane, int64_t now);

/* Looks whether the request has ended, and acts upon the answer (lane_answers.c). */
void lane_finish(struct lane *lane, int64_t now);

/* Lets go of the segments of the request. */
void lane_let_go(struct lane *lane);

/* Sends an empty object to a path that answered 404: a route that exists finds fault with it. */
bool lane_probe(struct lane *lane, const char *path);
