#include "http/safety.h"

#include "http/exchange.h"

#include <strings.h>

/* clang-format off */

static const struct {
    const char *name, *value;
} table[] = {
    {"Cache-Control",                "no-store"}, /* what is answered depends on who asks, and may be a secret */
    {"Content-Security-Policy",      "default-src 'none'; frame-ancestors 'none'"}, /* of all but our few pages */
    {"Cross-Origin-Resource-Policy", "same-origin"}, /* no other site's <script> or <img>; CORS decides about the rest */
    {"Referrer-Policy",              "no-referrer"}, /* a URL may hold a token */
    {"X-Content-Type-Options",       "nosniff"}, /* JSON that a user wrote is no HTML */
};

/* clang-format on */

static bool sets(const struct http_reply *reply, const char *name) {
    for (size_t i = 0; i < reply->header_count; i++)
        if (strcasecmp(reply->headers[i].name, name) == 0)
            return true;
    return false;
}

bool safety_headers(struct MHD_Response *response, const struct http_request *request) {
    const char *transport_security = http_server_settings(request->server)->transport_security;
    bool well = true;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (!sets(&request->reply, table[i].name))
            well &= MHD_add_response_header(response, table[i].name, table[i].value) == MHD_YES;
    if (transport_security)
        well &= MHD_add_response_header(response, "Strict-Transport-Security", transport_security) == MHD_YES;
    return well;
}
