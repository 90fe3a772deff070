/* What a spool holds, for carbond-spool: read without a lock, beside whoever works on it. The format is that of src/segment.h. */
#pragma once

#include "segment.h"

#include <stdbool.h>

/* One segment. */
struct surveyed {
    const char *spool; /* the name of the directory that it is in */
    const char *name;
    bool is_live; /* a process works on it: what looks torn is being written */
    int problem;  /* an errno: it can't be read; nothing of the survey counts then */
    struct segment_survey survey;
};

/* One directory of a client: after its segments. */
struct surveyed_spool {
    const char *name;
    bool is_live;
};

struct surveyor {
    void *context;
    void (*segment)(void *context, const struct surveyed *segment);   /* or NULL */
    void (*spool)(void *context, const struct surveyed_spool *spool); /* or NULL */
    void (*aside)(void *context, const char *directory,
                  const char *name); /* rejected/ and broken/; or NULL */
};

/* Visits everything in a spool, in the order of the names. 0, or an errno. */
int survey_spool(const char *path, const struct surveyor *surveyor);
