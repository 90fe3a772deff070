/* What waits to be stored: the emissions of one request, all of one sender. */
#pragma once

#include "auth/secret.h"
#include "auth/token_cache.h"
#include "ingest/emission.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What became of one emission. */
enum ingest_verdict {
    INGEST_STORED,
    INGEST_DUPLICATE, /* it was there already */
    INGEST_NO_RUN,    /* there is no such run */
    INGEST_FORBIDDEN, /* the run is not the sender's */
    INGEST_REFUSED,   /* the database does not take one of its values */
    INGEST_LATE,      /* emissions of its time have been dropped: it might be counted twice */
};

/* What became of the request as a whole. */
enum ingest_outcome {
    INGEST_DONE,   /* each emission has its verdict, and what is stored is committed */
    INGEST_NOBODY, /* nobody holds the token */
    INGEST_AWAY, /* the database was away for too long; some may be stored: with the same ids again, duplicates */
    INGEST_FAILED, /* a mistake of ours: logged */
};

struct ingest_job {
    bool by_token; /* the sender is whoever holds `token`; otherwise `holder` */
    struct secret_digest token;
    struct token_holder holder;
    struct emission *emissions;
    unsigned char *verdicts; /* of enum ingest_verdict, as many */
    size_t count;            /* at least 1 */
    bool fresh;              /* the ids were made here: no emission can be stored already */
    int64_t arrived;         /* on the monotonic clock */
    enum ingest_outcome outcome;
    /* Called once, on the writer's thread, when all is decided; the job is then its own again. */
    void (*done)(struct ingest_job *job);
    struct ingest_job *next; /* in the queue */
};
