/* The tables of routes, bodies and query parameters as JSON (carbond openapi --tables), for the test that compares them
 * with the specification. */
#pragma once

#include <jansson.h>

/* NULL when out of memory; the caller drops the reference. */
json_t *tables_json(void);
