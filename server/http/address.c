#include "http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { IPV4_FRONT = 12 /* bytes before those of IPv4 */, SITE = 8 /* bytes of a /64 */, LONGEST = 45 };

static const unsigned char ipv4_front[IPV4_FRONT] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_ipv4(const struct http_address *address) {
    return memcmp(address->bytes, ipv4_front, IPV4_FRONT) == 0;
}

static void set_ipv4(struct http_address *address, const void *bytes) {
    memcpy(address->bytes, ipv4_front, IPV4_FRONT);
    memcpy(address->bytes + IPV4_FRONT, bytes, 4);
}

static bool parse_plain(const char *text, size_t size, struct http_address *address) {
    char copy[LONGEST + 1];
    struct in_addr ipv4;
    if (size == 0 || size > LONGEST)
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (inet_pton(AF_INET6, copy, address->bytes) == 1)
        return true;
    if (inet_pton(AF_INET, copy, &ipv4) != 1)
        return false;
    set_ipv4(address, &ipv4);
    return true;
}

bool http_address_parse(const char *text, size_t size, bool with_port, struct http_address *address) {
    if (parse_plain(text, size, address))
        return true;
    if (!with_port || size == 0)
        return false;
    if (text[0] != '[') {
        const char *colon = memchr(text, ':', size);
        return colon && parse_plain(text, (size_t)(colon - text), address);
    }
    const char *end = memchr(text, ']', size);
    return end && (end + 1 == text + size || end[1] == ':') &&
           parse_plain(text + 1, (size_t)(end - text) - 1, address);
}

void http_address_of(const struct sockaddr *socket, struct http_address *address) {
    *address = (struct http_address){{0}};
    if (socket->sa_family == AF_INET6)
        memcpy(address->bytes, &((const struct sockaddr_in6 *)socket)->sin6_addr, sizeof address->bytes);
    else if (socket->sa_family == AF_INET)
        set_ipv4(address, &((const struct sockaddr_in *)socket)->sin_addr);
}

void http_address_format(const struct http_address *address, char text[HTTP_ADDRESS_TEXT]) {
    if (is_ipv4(address))
        inet_ntop(AF_INET, address->bytes + IPV4_FRONT, text, HTTP_ADDRESS_TEXT);
    else
        inet_ntop(AF_INET6, address->bytes, text, HTTP_ADDRESS_TEXT);
}

bool http_address_is_loopback(const struct http_address *address) {
    if (is_ipv4(address))
        return address->bytes[IPV4_FRONT] == 127;
    return memcmp(address->bytes, &in6addr_loopback, sizeof address->bytes) == 0;
}

bool http_network_parse(const char *text, struct http_network *network) {
    const char *slash = strchr(text, '/');
    size_t size = slash ? (size_t)(slash - text) : strlen(text);
    if (!http_address_parse(text, size, false, &network->address))
        return false;
    network->bits = 128;
    if (!slash)
        return true;
    bool ipv4 = !memchr(text, ':', size);
    size_t digits = strspn(slash + 1, "0123456789");
    long bits = strtol(slash + 1, NULL, 10);
    if (digits == 0 || digits > 3 || slash[1 + digits] || bits > (ipv4 ? 32 : 128))
        return false;
    network->bits = (int)bits + (ipv4 ? 8 * IPV4_FRONT : 0);
    return true;
}

bool http_network_contains(const struct http_network *network, const struct http_address *address) {
    size_t whole = (size_t)network->bits / 8;
    int rest = network->bits % 8;
    if (memcmp(network->address.bytes, address->bytes, whole) != 0)
        return false;
    return rest == 0 || (network->address.bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

struct http_address http_address_counted(const struct http_address *address) {
    struct http_address counted = *address;
    if (!is_ipv4(address))
        memset(counted.bytes + SITE, 0, sizeof counted.bytes - SITE);
    return counted;
}
