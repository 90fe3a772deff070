#include "http/cors.h"

#include "http/exchange.h"

#include <string.h>
#include <strings.h>

bool cors_allows(const struct http_server_settings *settings, const char *origin) {
    for (size_t i = 0; origin && i < settings->cors_origin_count; i++)
        if (strcasecmp(settings->cors_origins[i], origin) == 0)
            return true;
    return false;
}

static bool is_joined(const char *origin, const char *scheme, const char *host) {
    size_t length = strlen(scheme);
    return strncasecmp(origin, scheme, length) == 0 && strcasecmp(origin + length, host) == 0;
}

bool cors_is_own(const char *origin, const char *host, bool secure) {
    if (!origin || !host)
        return false;
    return is_joined(origin, "https://", host) || (!secure && is_joined(origin, "http://", host));
}

bool cors_names(const struct http_server_settings *settings, const char *host) {
    for (size_t i = 0; i < settings->cors_origin_count; i++)
        if (cors_is_own(settings->cors_origins[i], host, false))
            return true;
    return false;
}

void cors_headers(struct http_request *request) {
    const struct http_server_settings *settings = http_server_settings(request->server);
    const char *origin = http_request_header(request, MHD_HTTP_HEADER_ORIGIN);
    if (!cors_allows(settings, origin))
        return;
    http_reply_header(request, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    http_reply_header(request, "Access-Control-Allow-Credentials", "true");
    http_reply_header(request, "Access-Control-Expose-Headers", "Retry-After");
}

void cors_preflight(struct http_request *request, const char *methods) {
    const struct http_server_settings *settings = http_server_settings(request->server);
    if (!cors_allows(settings, http_request_header(request, MHD_HTTP_HEADER_ORIGIN)))
        return;
    http_reply_header(request, "Access-Control-Allow-Methods", methods);
    http_reply_header(request, "Access-Control-Allow-Headers",
                      "Accept, Authorization, Content-Type, X-Api-Token");
    http_reply_header(request, "Access-Control-Max-Age", "7200");
}
