#include "http/route.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERN_SEGMENTS = 6 };

struct segment {
    char *name;
    bool capture;
};

struct pattern {
    const struct http_route *route;
    struct segment segments[PATTERN_SEGMENTS];
    size_t count;
    char *storage;
};

struct http_router {
    size_t count;
    struct pattern patterns[];
};

/* A mistake in our own table: there is nothing to serve. */
static void require(bool well_formed) {
    if (!well_formed)
        abort();
}

static bool compile(struct pattern *pattern, const struct http_route *route) {
    pattern->route = route;
    pattern->storage = strdup(route->pattern);
    if (!pattern->storage)
        return false;
    size_t captures = 0;
    char *rest;
    for (char *part = strtok_r(pattern->storage, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
        size_t length = strlen(part);
        struct segment segment = {.name = part, .capture = part[0] == '{'};
        if (segment.capture) {
            require(length > 2 && part[length - 1] == '}');
            part[length - 1] = '\0';
            segment.name = part + 1;
            captures++;
        }
        require(pattern->count < PATTERN_SEGMENTS && captures <= HTTP_CAPTURES);
        pattern->segments[pattern->count++] = segment;
    }
    return true;
}

struct http_router *http_router_new(const struct http_route *routes, size_t count) {
    struct http_router *router = calloc(1, sizeof *router + count * sizeof router->patterns[0]);
    if (!router)
        return NULL;
    router->count = count;
    for (size_t i = 0; i < count; i++) {
        if (!compile(&router->patterns[i], &routes[i])) {
            http_router_free(router);
            return NULL;
        }
    }
    return router;
}

void http_router_free(struct http_router *router) {
    if (!router)
        return;
    for (size_t i = 0; i < router->count; i++)
        free(router->patterns[i].storage);
    free(router);
}

static bool matches(const struct pattern *pattern, const struct http_url *url) {
    if (pattern->count != url->segment_count)
        return false;
    for (size_t i = 0; i < pattern->count; i++)
        if (!pattern->segments[i].capture && strcmp(pattern->segments[i].name, url->segments[i]) != 0)
            return false;
    return true;
}

/* Of two patterns that match the same path: below 0 if `a` is the more literal one, 0 if they are the same. */
static int compare_literals(const struct pattern *a, const struct pattern *b) {
    for (size_t i = 0; i < a->count; i++)
        if (a->segments[i].capture != b->segments[i].capture)
            return a->segments[i].capture ? 1 : -1;
    return 0;
}

static const struct pattern *best_pattern(const struct http_router *router, const struct http_url *url) {
    const struct pattern *best = NULL;
    for (size_t i = 0; i < router->count; i++) {
        const struct pattern *pattern = &router->patterns[i];
        if (matches(pattern, url) && (!best || compare_literals(pattern, best) < 0))
            best = pattern;
    }
    return best;
}

static bool same_path(const struct pattern *pattern, const struct pattern *best, const struct http_url *url) {
    return matches(pattern, url) && compare_literals(pattern, best) == 0;
}

static void capture(const struct pattern *pattern, const struct http_url *url, struct http_match *match) {
    match->route = pattern->route;
    match->capture_count = 0;
    for (size_t i = 0; i < pattern->count; i++) {
        if (!pattern->segments[i].capture)
            continue;
        struct http_parameter *parameter = &match->captures[match->capture_count++];
        parameter->name = pattern->segments[i].name;
        parameter->value = url->segments[i];
    }
}

enum http_found http_router_find(const struct http_router *router, const char *method,
                                 const struct http_url *url, struct http_match *match) {
    const struct pattern *best = best_pattern(router, url);
    if (!best)
        return HTTP_NO_PATH;
    if (strcmp(method, "OPTIONS") == 0)
        return HTTP_OPTIONS;
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < router->count; i++) {
        const struct pattern *pattern = &router->patterns[i];
        if (strcmp(pattern->route->method, method) == 0 && same_path(pattern, best, url)) {
            capture(pattern, url, match);
            return HTTP_FOUND;
        }
    }
    return HTTP_NO_METHOD;
}

static void write_method(const struct pattern *pattern, struct buffer *out) {
    buffer_text(out, pattern->route->method);
    buffer_text(out, strcmp(pattern->route->method, "GET") == 0 ? ", HEAD, " : ", ");
}

/* Whether no pattern before has its method. */
static bool is_first(const struct http_router *router, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (strcmp(router->patterns[i].route->method, router->patterns[index].route->method) == 0)
            return false;
    return true;
}

void http_router_methods(const struct http_router *router, const struct http_url *url, struct buffer *out) {
    const struct pattern *best = url ? best_pattern(router, url) : NULL;
    for (size_t i = 0; i < router->count; i++) {
        const struct pattern *pattern = &router->patterns[i];
        if (url ? best && same_path(pattern, best, url) : is_first(router, i))
            write_method(pattern, out);
    }
    buffer_text(out, "OPTIONS");
}
