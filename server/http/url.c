#include "http/url.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- decoding */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The length of the UTF-8 character that starts here; 0 if there is none (Unicode, table 3-7). */
static size_t utf8_length(const unsigned char *s) {
    static const struct {
        unsigned char first_low, first_high, second_low, second_high, length;
    } forms[] = {
        {0x20, 0x7E, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (s[0] < forms[i].first_low || s[0] > forms[i].first_high)
            continue;
        if (forms[i].length > 1 && (s[1] < forms[i].second_low || s[1] > forms[i].second_high))
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((s[k] & 0xC0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

static bool is_clean_text(const char *text, bool controls) {
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        size_t length = controls && *s < 0x20 ? 1 : utf8_length(s);
        if (!length)
            return false;
        s += length;
    }
    return true;
}

/* Decodes in place; the text only shrinks. `form`: a plus is a space, and control characters may come escaped. */
static bool decode(char *text, bool form) {
    char *out = text;
    for (const char *in = text; *in; in++) {
        char c = *in;
        if (form && c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = hex_digit(in[1]), low = high < 0 ? -1 : hex_digit(in[2]);
            if (low < 0 || (high == 0 && low == 0))
                return false;
            c = (char)(high * 16 + low);
            in += 2;
        }
        *out++ = c;
    }
    *out = '\0';
    return is_clean_text(text, form);
}

/* ---- the path */

static void drop_segments(struct http_url *url, size_t count) {
    url->segment_count -= count;
    memmove(url->segments, url->segments + count, url->segment_count * sizeof url->segments[0]);
}

/* /api and /t/TOKEN, in either order, each at most once. */
static void take_prefixes(struct http_url *url) {
    bool api = false;
    for (int i = 0; i < 2; i++) {
        if (!api && url->segment_count && strcmp(url->segments[0], "api") == 0) {
            api = true;
            drop_segments(url, 1);
        } else if (!url->token && url->segment_count >= 2 && strcmp(url->segments[0], "t") == 0) {
            url->token = url->segments[1];
            drop_segments(url, 2);
        }
    }
}

static enum http_url_verdict parse_path(struct http_url *url, char *path) {
    char *rest;
    for (char *segment = strtok_r(path, "/", &rest); segment; segment = strtok_r(NULL, "/", &rest)) {
        if (url->segment_count == HTTP_URL_SEGMENTS)
            return HTTP_URL_TOO_LONG;
        if (!decode(segment, false))
            return HTTP_URL_MALFORMED;
        url->segments[url->segment_count++] = segment;
    }
    take_prefixes(url);
    return HTTP_URL_OK;
}

/* ---- the query */

static enum http_url_verdict parse_query(struct http_url *url, char *query) {
    char *rest;
    for (char *pair = strtok_r(query, "&", &rest); pair; pair = strtok_r(NULL, "&", &rest)) {
        if (url->parameter_count == HTTP_URL_PARAMETERS)
            return HTTP_URL_TOO_LONG;
        char *value = strchr(pair, '=');
        if (value)
            *value++ = '\0';
        else
            value = pair + strlen(pair);
        if (!decode(pair, true) || !decode(value, true))
            return HTTP_URL_MALFORMED;
        url->parameters[url->parameter_count++] = (struct http_parameter){pair, value};
    }
    return HTTP_URL_OK;
}

/* ---- the host */

/* How long the scheme is, with what follows it; 0 if it is none of ours. */
static size_t scheme_length(const char *target) {
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncasecmp(target, schemes[i], strlen(schemes[i])) == 0)
            return strlen(schemes[i]);
    return 0;
}

/* Takes the scheme and the host off the target. Returns what follows, which may be nothing; NULL if it is in neither form.
 * Names of users are not taken (RFC 9110, 4.2.4). The host moves to the left, so that a NUL finds room behind it. */
static char *take_host(struct http_url *url, char *target) {
    size_t scheme = scheme_length(target);
    if (!scheme)
        return target[0] == '/' ? target : NULL;
    char *host = target + scheme;
    size_t length = strspn(host, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "-._~!$&'()*+,;=%:[]");
    if (length == 0 || !strchr("/?", host[length]))
        return NULL;
    memmove(host - 1, host, length);
    host[length - 1] = '\0';
    url->host = host - 1;
    return host + length;
}

/* ---- the whole */

/* Whether there is something that a request line has only escaped, or a fragment, which belongs to no request. */
static bool needs_escape(const char *raw) {
    for (; *raw; raw++)
        if ((unsigned char)*raw <= ' ' || *raw == 0x7F || *raw == '#')
            return true;
    return false;
}

enum http_url_verdict http_url_parse(struct http_url *url, const char *raw) {
    *url = (struct http_url){0};
    if (needs_escape(raw))
        return HTTP_URL_MALFORMED;
    url->storage = strdup(raw);
    if (!url->storage)
        return HTTP_URL_NO_MEMORY;
    char *path = take_host(url, url->storage);
    if (!path)
        return HTTP_URL_MALFORMED;
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    enum http_url_verdict verdict = parse_path(url, path);
    if (verdict == HTTP_URL_OK && query)
        verdict = parse_query(url, query);
    return verdict;
}

enum http_url_verdict http_form_parse(struct http_url *form, const char *body, size_t size) {
    *form = (struct http_url){0};
    if (memchr(body, '\0', size))
        return HTTP_URL_MALFORMED;
    form->storage = strndup(body, size);
    if (!form->storage)
        return HTTP_URL_NO_MEMORY;
    return parse_query(form, form->storage);
}

void http_url_free(struct http_url *url) {
    free(url->storage);
    url->storage = NULL;
}

const char *http_url_parameter(const struct http_url *url, const char *name) {
    for (size_t i = url->parameter_count; i > 0; i--)
        if (strcmp(url->parameters[i - 1].name, name) == 0)
            return url->parameters[i - 1].value;
    return NULL;
}
