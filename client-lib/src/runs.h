/* The runs that this process knows: those that the program began, and those that it found in spools. A run stays here
 * while the program holds it or the spool may hold something of it. All functions: under the client's lock. */
#pragma once

#include "backoff.h"
#include "id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct carbond_client;

enum { LANES = 2 };

/* What the server thinks of a run, as far as this process knows. */
enum run_state {
    RUN_UNKNOWN, /* nothing was heard: its creation is to be sent, where there is one */
    RUN_CREATED, /* its creation was acknowledged */
    RUN_REFUSED, /* its creation was refused for good: so will be its emissions */
};

struct carbond_run {
    struct carbond_run *next; /* in its bucket */
    struct carbond_client *client;
    struct id id;
    char text[ID_TEXT_SIZE];
    unsigned held;      /* how many handles of it the program has */
    unsigned char lane; /* who sends it: one request at a time, so that a run's emissions stay in order */
    enum run_state state;
    bool waiting;   /* its creation was passed over: so are its emissions, until the lane begins anew */
    bool missing;   /* the server answered 404 to an emission, though its creation was not sent from here */
    bool unclaimed; /* and no process of the spool had its creation to send then */
    char *creation; /* the body of POST /runs; NULL where this process has only read it in the spool */
    size_t creation_length;
    bool unwritten;      /* its creation, or what it has dropped, is to be written to the spool */
    uint64_t written_in; /* the number of the last segment that begins with its creation; 0: none */
    uint64_t dropped;    /* emissions that the spool had to drop */
    uint64_t told;       /* as many of them as the server knows of */
    bool recalled;       /* the spool has been asked for `remote` */
    bool has_remote;     /* a plain CodeCarbon server has chosen another id for it */
    struct id remote;
    struct backoff backoff; /* its own trouble, while the others go on */
    int refusal_status;     /* with which it was refused */
    char *refusal;          /* and why, as JSON; or NULL */
};

struct runs {
    struct carbond_run **buckets;
    size_t size; /* of buckets: a power of two, or 0 */
    size_t count;
    size_t made; /* so far: decides about lanes */
};

/* The run with this id, which is made if it is not there. NULL when out of memory. */
struct carbond_run *runs_get(struct runs *runs, struct carbond_client *client, const struct id *id);

/* Calls `visit` for each. */
void runs_each(struct runs *runs, void (*visit)(void *context, struct carbond_run *run), void *context);

/* Frees those that nobody holds. Only when the ring and the spool hold nothing of them. */
void runs_sweep(struct runs *runs);

/* Frees all. */
void runs_destroy(struct runs *runs);
