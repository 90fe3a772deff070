/* The members of what clients send: one table for each body, which drives validation, the statements' parameters and
 * the check of the specification. Values of the query have the same types. */
#pragma once

#include "base/id.h"

#include <stdbool.h>
#include <stddef.h>

enum member_type {
    MEMBER_STRING,
    MEMBER_EMAIL,
    MEMBER_UUID,
    MEMBER_TIMESTAMP,
    MEMBER_NUMBER,
    MEMBER_INTEGER,
    MEMBER_BOOLEAN,
    MEMBER_CURSOR, /* of the query: a place in a run's emissions; the statements' cursor_timestamp and cursor_id */
};

enum member_bounds {
    MEMBER_AT_LEAST = 1, /* `minimum` */
    MEMBER_ABOVE = 2,    /* `minimum`, exclusive */
    MEMBER_AT_MOST = 4,  /* `maximum` */
};

struct member {
    const char *name;
    enum member_type type;
    bool required;
    bool nullable; /* where required; an optional member may always be null */
    int bounds;    /* of numbers, or of a string's length in characters */
    double minimum;
    double maximum;
    const char *fallback;    /* when absent or null */
    struct id (*make)(void); /* the same, for ids */
    const char *unit;
    const char *argument; /* the statements' name for it, where it is another */
};

struct body {
    const char *name;
    const struct member *members; /* ends with a member without name */
    const char *either[2];        /* at least one of these two must be there */
};

extern const struct body body_organization, body_organization_patch, body_team, body_project,
    body_project_patch, body_experiment, body_run, body_emission, body_batch_emission, body_project_token,
    body_user_token, body_user, body_credentials, body_add_user, body_membership;

/* All of them, and NULL. */
extern const struct body *const bodies[];

/* Parameters of the query; each set ends with a member without name. */
extern const struct member query_range[], query_page[], query_organization[];

/* As the specification calls it: "string", "uuid" ... */
const char *member_type_name(enum member_type type);
