#include "http/check.h"

#include "http/exchange.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { LINE_END = 2 /* CR and LF */ };

struct framing {
    const char *next; /* where the next line begins, if the one before hides nothing */
    int hosts;
    int lengths;
    int codings;
    bool odd_header;
    bool odd_host;
    bool odd_length;
    bool odd_coding;
};

static bool is_number(const char *text) {
    return *text && text[strspn(text, "0123456789")] == '\0';
}

/* A token of RFC 9110. A blank before the colon would hide a header from us, and not from a proxy before us. */
static bool is_token(const char *name) {
    return *name && name[strspn(name, "!#$%&'*+-.^_`|~0123456789"
                                      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

/* A tab is the only control character that may stand in a value. */
static bool is_clean(const char *value) {
    for (; *value; value++)
        if (((unsigned char)*value < 0x20 && *value != '\t') || *value == 0x7F)
            return false;
    return true;
}

static bool is_host(const char *value) {
    return value[strspn(value, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "-._~%!$&'()*+,;=:[]")] == '\0';
}

/* libmicrohttpd leaves what it reads where it is, and puts NULs in the place of separators. Only a value that goes on in
 * the next line lies elsewhere. */
static bool is_in_place(const char *name, const char *value) {
    const char *behind = name + strlen(name) + 1;
    return value == behind + strspn(behind, " \t");
}

/* Whether what libmicrohttpd shows is all that it has read: a NUL hides the rest of its line, and a proxy before us may
 * read otherwise a line that ends without CR, an empty name, or a blank too many. So each part must begin right behind the
 * one before. */

static bool is_first_line(const struct http_request *request, const char *target, const char *version) {
    return target == request->method + strlen(request->method) + 1 &&
           version == target + strlen(request->target) + 1;
}

/* The last line is followed by an empty one. */
static bool is_end(const struct http_request *request, const char *end) {
    static const char ends[2 * LINE_END];
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info && info->header_size == (size_t)(end - request->method) + LINE_END &&
           memcmp(end - LINE_END, ends, sizeof ends) == 0;
}

static enum MHD_Result look(void *context, enum MHD_ValueKind kind, const char *name, const char *value) {
    struct framing *framing = context;
    (void)kind;
    if (!value || name != framing->next || !is_in_place(name, value) || !is_token(name) || !is_clean(value)) {
        framing->odd_header = true;
        return MHD_NO;
    }
    framing->next = value + strlen(value) + LINE_END;
    if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0) {
        framing->hosts++;
        framing->odd_host |= !is_host(value);
    } else if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        framing->lengths++;
        framing->odd_length |= !is_number(value);
    } else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        framing->codings++;
        framing->odd_coding |= strcasecmp(value, "chunked") != 0;
    }
    return MHD_YES;
}

const char *check_headers(const struct http_request *request, const char *target, const char *version) {
    struct framing framing = {.next = version + strlen(version) + LINE_END};
    bool old = strcmp(version, MHD_HTTP_VERSION_1_0) == 0;
    if (!is_token(request->method) || !is_first_line(request, target, version))
        return "The request line is not properly written";
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, look, &framing);
    if (framing.odd_header || !is_end(request, framing.next))
        return "A header is not properly written";
    if (framing.lengths && framing.codings)
        return "Content-Length and Transfer-Encoding exclude each other";
    if (framing.lengths > 1)
        return "There is more than one Content-Length";
    if (framing.odd_length)
        return "Content-Length is not a number";
    if (framing.codings > 1 || framing.odd_coding)
        return "The only Transfer-Encoding known is chunked";
    if (framing.codings && old)
        return "HTTP/1.0 knows no Transfer-Encoding";
    if (framing.hosts > 1)
        return "There is more than one Host";
    if (framing.odd_host)
        return "Host is not properly written";
    if (framing.hosts == 0 && !old)
        return "There is no Host";
    return NULL;
}
