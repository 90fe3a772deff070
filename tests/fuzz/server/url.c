/* The request's target, forms, and routes: what comes out is clean text of bounded number that lies in the storage; it
 * means the same when it is encoded once more; a form is read as a query is; a route's captures are the path's segments. */
#include "fuzz.h"

#include "api/routes.h"
#include "base/buffer.h"
#include "http/route.h"
#include "http/url.h"

#include <stdbool.h>

static void check_text(const struct http_url *url, const char *text, size_t size, bool controls) {
    HOLDS(text >= url->storage && text + strlen(text) <= url->storage + size);
    for (; *text; text++)
        HOLDS(*text != 0x7F && (controls || (unsigned char)*text >= 0x20));
}

/* Whatever the bytes were, they do not say more than they did. */
static void check_bounds(const struct http_url *url, size_t size) {
    HOLDS(url->segment_count <= HTTP_URL_SEGMENTS && url->parameter_count <= HTTP_URL_PARAMETERS);
    for (size_t i = 0; i < url->segment_count; i++)
        check_text(url, url->segments[i], size, false);
    for (size_t i = 0; i < url->parameter_count; i++) {
        check_text(url, url->parameters[i].name, size, true);
        check_text(url, url->parameters[i].value, size, true);
    }
    if (url->token)
        check_text(url, url->token, size, false);
}

static void encode(struct buffer *out, const char *text) {
    char escaped[4];
    for (; *text; text++) {
        snprintf(escaped, sizeof escaped, "%%%02X", (unsigned char)*text);
        buffer_text(out, escaped);
    }
}

static void encode_query(struct buffer *out, const struct http_url *url) {
    for (size_t i = 0; i < url->parameter_count; i++) {
        buffer_char(out, '&');
        encode(out, url->parameters[i].name);
        buffer_char(out, '=');
        encode(out, url->parameters[i].value);
    }
}

/* With both prefixes, so that no segment of the path is taken for one. */
static void encode_url(struct buffer *out, const struct http_url *url) {
    buffer_text(out, "/api/t/");
    encode(out, url->token ? url->token : "none");
    for (size_t i = 0; i < url->segment_count; i++) {
        buffer_char(out, '/');
        encode(out, url->segments[i]);
    }
    buffer_char(out, '?');
    encode_query(out, url);
}

static bool same_parameters(const struct http_url *a, const struct http_url *b) {
    bool same = a->parameter_count == b->parameter_count;
    for (size_t i = 0; same && i < a->parameter_count; i++)
        same = strcmp(a->parameters[i].name, b->parameters[i].name) == 0 &&
               strcmp(a->parameters[i].value, b->parameters[i].value) == 0;
    return same;
}

static bool same_path(const struct http_url *a, const struct http_url *b) {
    bool same = a->segment_count == b->segment_count;
    for (size_t i = 0; same && i < a->segment_count; i++)
        same = strcmp(a->segments[i], b->segments[i]) == 0;
    return same;
}

/* The prefixes count among the segments until they are taken off: a path that is nearly too long is not encoded. */
static void check_round_trip(const struct http_url *url) {
    struct buffer text = {0};
    struct http_url again;
    if (url->segment_count + 3 > HTTP_URL_SEGMENTS)
        return;
    encode_url(&text, url);
    HOLDS(!text.failed && http_url_parse(&again, text.data) == HTTP_URL_OK);
    HOLDS(same_path(url, &again) && same_parameters(url, &again));
    HOLDS(strcmp(again.token, url->token ? url->token : "none") == 0);
    http_url_free(&again);
    buffer_free(&text);
}

static void check_parameters(const struct http_url *url) {
    for (size_t i = 0; i < url->parameter_count; i++) {
        const char *value = http_url_parameter(url, url->parameters[i].name);
        size_t last = i;
        for (size_t k = i; k < url->parameter_count; k++)
            if (strcmp(url->parameters[k].name, url->parameters[i].name) == 0)
                last = k;
        HOLDS(value == url->parameters[last].value);
    }
}

/* Segment by segment, the path is the pattern, or what was captured. */
static void check_match(const struct http_url *url, const struct http_match *match) {
    const char *at = match->route->pattern;
    size_t captured = 0;
    for (size_t i = 0; i < url->segment_count; i++) {
        size_t length = strcspn(++at, "/");
        if (*at == '{')
            HOLDS(match->captures[captured++].value == url->segments[i]);
        else
            HOLDS(strlen(url->segments[i]) == length && memcmp(url->segments[i], at, length) == 0);
        at += length;
    }
    HOLDS(captured == match->capture_count && (*at == '\0' || url->segment_count == 0));
}

static void check_route(const struct http_url *url) {
    static const char *const methods[] = {"GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"};
    static struct http_router *router;
    if (!router)
        router = http_router_new(api_http_routes(), api_route_count);
    HOLDS(router != NULL);
    struct buffer allowed = {0};
    http_router_methods(router, url, &allowed);
    for (size_t i = 0; i < COUNT(methods); i++) {
        struct http_match match;
        enum http_found found = http_router_find(router, methods[i], url, &match);
        if (found == HTTP_FOUND)
            check_match(url, &match);
        HOLDS((found == HTTP_FOUND || found == HTTP_OPTIONS) <= (strstr(allowed.data, methods[i]) != NULL));
    }
    buffer_free(&allowed);
}

/* What must be escaped in a target, and need not be in a form. */
static bool needs_escape(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (data[i] <= ' ' || data[i] == 0x7F || data[i] == '#')
            return true;
    return false;
}

/* A form's bytes behind a question mark are a query. */
static void check_form(const uint8_t *data, size_t size) {
    struct http_url form, query;
    enum http_url_verdict verdict = http_form_parse(&form, (const char *)data, size);
    if (verdict == HTTP_URL_OK) {
        check_bounds(&form, size);
        HOLDS(form.segment_count == 0 && !form.token);
    }
    if (!needs_escape(data, size)) {
        struct buffer target = {0};
        buffer_text(&target, "/?");
        buffer_append(&target, data, size);
        HOLDS(http_url_parse(&query, target.data) == verdict);
        HOLDS(verdict != HTTP_URL_OK || same_parameters(&form, &query));
        http_url_free(&query);
        buffer_free(&target);
    }
    http_url_free(&form);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *raw = fuzz_text(data, size);
    struct http_url url;
    if (http_url_parse(&url, raw) == HTTP_URL_OK) {
        HOLDS(!needs_escape((const uint8_t *)raw, strlen(raw)));
        check_bounds(&url, strlen(raw));
        check_round_trip(&url);
        check_parameters(&url);
        check_route(&url);
    }
    http_url_free(&url);
    check_form((const uint8_t *)raw, size);
    free(raw);
    return 0;
}
