/* The request's target, taken apart. libmicrohttpd decodes carelessly (it passes `%zz` through and ends a path at
 * `%00`), so this works on the raw bytes of the request line.
 *
 * The path is split at slashes first and each segment decoded then, so `%2F` never makes a segment. Empty segments
 * are dropped: `//run/` is `/run`. Two prefixes are taken off: `/api`, and `/t/TOKEN`, in either order, each at most
 * once. In the query `+` is a space; of `name` without `=` the value is empty. */
#pragma once

#include <stddef.h>

enum { HTTP_URL_SEGMENTS = 12, HTTP_URL_PARAMETERS = 32 };

struct http_parameter {
    const char *name;
    const char *value;
};

struct http_url {
    const char *segments[HTTP_URL_SEGMENTS];
    size_t segment_count;
    const char *token; /* of /t/TOKEN, or NULL */
    const char *host;  /* of a target in absolute form, with its port if it has one; else NULL */
    struct http_parameter parameters[HTTP_URL_PARAMETERS];
    size_t parameter_count;
    char *storage; /* what the pointers above point into */
};

enum http_url_verdict {
    HTTP_URL_OK,
    HTTP_URL_MALFORMED, /* a bad escape, `%00`, a control character or a space that is not escaped, bytes that are not UTF-8, or neither form */
    HTTP_URL_TOO_LONG,  /* more segments or parameters than there is room for */
    HTTP_URL_NO_MEMORY,
};

/* `raw` is the request target in origin form (/runs?x=1) or absolute form (http://host/runs?x=1). Whatever the verdict, http_url_free is safe afterwards. */
enum http_url_verdict http_url_parse(struct http_url *url, const char *raw);
void http_url_free(struct http_url *url);

/* The last value of that name in the query, or NULL. */
const char *http_url_parameter(const struct http_url *url, const char *name);

/* Decodes a form (application/x-www-form-urlencoded) in the same way; `segments` stay empty. */
enum http_url_verdict http_form_parse(struct http_url *form, const char *body, size_t size);
