/* Cross-origin resource sharing (the Fetch standard): which other sites' pages may read our answers. Origins are
 * configured exactly; "*" is never answered, since answers depend on credentials. */
#pragma once

#include "http/server.h"

#include <stdbool.h>

/* Whether the origin (NULL: none) is a configured one. */
bool cors_allows(const struct http_server_settings *settings, const char *origin);

/* Whether the origin is this Host header behind https://, or, unless the request is secure, behind http:// (a proxy may
 * speak TLS for us, and may not). */
bool cors_is_own(const char *origin, const char *host, bool secure);

/* Whether the host is that of a configured origin. */
bool cors_names(const struct http_server_settings *settings, const char *host);

/* Adds the headers that let the request's origin read the reply. */
void cors_headers(struct http_request *request);

/* For OPTIONS: adds what a preflight asks for. `methods` as in Allow. */
void cors_preflight(struct http_request *request, const char *methods);
