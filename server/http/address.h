/* IP addresses and networks. Both versions are one kind of thing: IPv4 is kept as IPv6 writes it (::ffff:192.0.2.1). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct http_address {
    unsigned char bytes[16];
};

struct http_network {
    struct http_address address;
    int bits; /* as many at the front are the network's; of IPv6, also where the text was IPv4 */
};

enum { HTTP_ADDRESS_TEXT = 46 };

/* An address; with `with_port`, also as ADDRESS:PORT, [ADDRESS] and [ADDRESS]:PORT, whose port is not looked at. Names,
 * zones (%eth0) and blanks are none. */
bool http_address_parse(const char *text, size_t size, bool with_port, struct http_address *address);

/* That of a socket; :: if its family is another. */
void http_address_of(const struct sockaddr *socket, struct http_address *address);

void http_address_format(const struct http_address *address, char text[HTTP_ADDRESS_TEXT]);

/* Whether it is one by which a machine reaches itself alone. */
bool http_address_is_loopback(const struct http_address *address);

/* ADDRESS or ADDRESS/BITS. */
bool http_network_parse(const char *text, struct http_network *network);
bool http_network_contains(const struct http_network *network, const struct http_address *address);

/* As what somebody's requests are counted by: IPv4 as it is, of IPv6 the first 64 bits, since whoever has one address of
 * a /64 has all of them. */
struct http_address http_address_counted(const struct http_address *address);
