/* From what a client sent to arguments, by the tables of api/members.h. Whatever does not fit becomes a fault. */
#pragma once

#include "api/arguments.h"
#include "api/faults.h"
#include "api/members.h"
#include "http/request.h"

#include <jansson.h>

/* The path's captures: all are UUIDs. */
void validate_path(const struct http_request *request, struct arguments *arguments, struct faults *faults);

/* The query, by a set of members (NULL: none). Times must come in order. */
void validate_query(const struct http_request *request, const struct member *members,
                    struct arguments *arguments, struct faults *faults);

/* The body. The arguments point into *document, which the caller frees with json_decref after their use (NULL if it
 * could not be read: then there are faults). */
void validate_body(const struct http_request *request, const struct body *body, json_t **document,
                   struct arguments *arguments, struct faults *faults);

/* The same for a JSON text from elsewhere, which has a NUL behind it or not. False: it is no JSON, so that nobody can
 * say where it ends. */
bool validate_json(const char *text, size_t size, const struct body *body, json_t **document,
                   struct arguments *arguments, struct faults *faults);
