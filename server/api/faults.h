/* What is wrong with a request's path, query or body: all faults go into one answer of status 422, in the shape that
 * clients of FastAPI servers parse: {"detail": [{"loc": ["body", "duration"], "msg": "...", "type": "..."}]}. */
#pragma once

#include "http/reply.h"

#include <jansson.h>
#include <stdbool.h>

struct faults {
    json_t *list; /* NULL until the first one */
    bool failed;  /* out of memory */
};

/* `place` is "path", "query" or "body"; `name` may be NULL (the body as a whole). */
void faults_add(struct faults *faults, const char *place, const char *name, const char *type,
                const char *message);

bool faults_any(const struct faults *faults);

/* Leaves the answer, and frees the list. */
void faults_reply(struct faults *faults, struct http_request *request);
