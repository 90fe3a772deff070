#include "http/check.h"

#include "http/exchange.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

struct framing {
    int hosts;
    int lengths;
    int codings;
    bool odd_name;
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

/* Of a value that goes on in the next line, libmicrohttpd puts the rest behind the name. */
static bool hides(const char *name, const char *framing) {
    return strlen(name) > strlen(framing) && strncasecmp(name, framing, strlen(framing)) == 0;
}

static enum MHD_Result look(void *context, enum MHD_ValueKind kind, const char *name, const char *value) {
    struct framing *framing = context;
    (void)kind;
    if (!value)
        value = "";
    framing->odd_name |= !is_token(name) || hides(name, MHD_HTTP_HEADER_CONTENT_LENGTH) ||
                         hides(name, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0) {
        framing->hosts++;
    } else if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        framing->lengths++;
        framing->odd_length |= !is_number(value);
    } else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        framing->codings++;
        framing->odd_coding |= strcasecmp(value, "chunked") != 0;
    }
    return MHD_YES;
}

const char *check_headers(const struct http_request *request, const char *version) {
    struct framing framing = {0};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, look, &framing);
    if (framing.odd_name)
        return "A header is not properly written";
    if (framing.lengths && framing.codings)
        return "Content-Length and Transfer-Encoding exclude each other";
    if (framing.lengths > 1)
        return "There is more than one Content-Length";
    if (framing.odd_length)
        return "Content-Length is not a number";
    if (framing.codings > 1 || framing.odd_coding)
        return "The only Transfer-Encoding known is chunked";
    if (framing.hosts > 1)
        return "There is more than one Host";
    if (framing.hosts == 0 && strcmp(version, MHD_HTTP_VERSION_1_0) != 0)
        return "There is no Host";
    return NULL;
}
