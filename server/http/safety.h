/* What every answer tells browsers, so that no page makes more of it than it is: one table. */
#pragma once

#include <microhttpd.h>
#include <stdbool.h>

struct http_request;

/* Adds the headers of the table that the reply does not set by itself. False when out of memory. */
bool safety_headers(struct MHD_Response *response, const struct http_request *request);
