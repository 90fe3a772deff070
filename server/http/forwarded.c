#include "http/forwarded.h"

#include "http/exchange.h"

#include <string.h>
#include <strings.h>

/* More than honest ways have. Of more lines the last ones are kept: the way is followed from its end. */
enum { LINES = 8, HOPS = 32 };

struct header {
    const char *name;
    const char *lines[LINES]; /* a ring */
    size_t count;
};

struct entry {
    const char *text;
    size_t size;
};

bool forwarded_trusts(const struct http_server_settings *settings, const struct http_address *address) {
    for (size_t i = 0; i < settings->trusted_proxy_count; i++)
        if (http_network_contains(&settings->trusted_proxies[i], address))
            return true;
    return false;
}

/* ---- lists */

static enum MHD_Result take_line(void *context, enum MHD_ValueKind kind, const char *name,
                                 const char *value) {
    struct header *header = context;
    (void)kind;
    if (value && strcasecmp(name, header->name) == 0)
        header->lines[header->count++ % LINES] = value;
    return MHD_YES;
}

static struct header header_of(const struct http_request *request, const char *name) {
    struct header header = {.name = name};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, take_line, &header);
    return header;
}

/* Takes the last entry off a list of *size bytes, without the blanks around it. False: nothing is left. */
static bool last_entry(const char *list, size_t *size, struct entry *entry) {
    if (*size == 0)
        return false;
    size_t end = *size, begin = end;
    while (begin > 0 && list[begin - 1] != ',')
        begin--;
    *size = begin > 0 ? begin - 1 : 0;
    while (begin < end && strchr(" \t", list[begin]))
        begin++;
    while (begin < end && strchr(" \t", list[end - 1]))
        end--;
    *entry = (struct entry){list + begin, end - begin};
    return true;
}

/* ---- the way */

/* The address of the client, or of the last proxy that tells. */
static struct http_address follow(const struct http_request *request, struct http_address address) {
    const struct http_server_settings *settings = http_server_settings(request->server);
    const struct header header = header_of(request, "X-Forwarded-For");
    size_t hops = 0;
    for (size_t i = 0; i < header.count && i < LINES; i++) {
        const char *line = header.lines[(header.count - 1 - i) % LINES];
        size_t size = strlen(line);
        struct entry entry;
        struct http_address before;
        while (last_entry(line, &size, &entry)) {
            if (hops++ == HOPS || !http_address_parse(entry.text, entry.size, true, &before))
                return address;
            address = before;
            if (!forwarded_trusts(settings, &address))
                return address;
        }
    }
    return address;
}

/* A proxy that does not say speaks as its clients do. */
static bool came_over_tls(const struct http_request *request, bool otherwise) {
    static const char https[] = "https";
    const struct header header = header_of(request, "X-Forwarded-Proto");
    if (header.count == 0)
        return otherwise;
    const char *line = header.lines[(header.count - 1) % LINES];
    size_t size = strlen(line);
    struct entry entry;
    return last_entry(line, &size, &entry) && entry.size == sizeof https - 1 &&
           strncasecmp(entry.text, https, entry.size) == 0;
}

void forwarded_read(const struct http_request *request, const struct http_address *peer,
                    struct http_client *client, bool *secure) {
    client->address = follow(request, *peer);
    http_address_format(&client->address, client->text);
    *secure = came_over_tls(request, *secure);
}
