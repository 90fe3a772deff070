/* Who the client is when proxies stand before the server, and whether it came to them over TLS.
 *
 * X-Forwarded-For says by which addresses a request came, the nearest last: each proxy adds whom it got it from. What a
 * client writes there itself stands further left. So the list, of all such headers together, is read from its end for as
 * long as the address so far is a configured proxy's; the first that is none is the client. Whatever else stands there is
 * never looked at, and without a configured proxy as the peer nothing is. An entry that is no address ends the way: the
 * proxy that passed it on counts as the client then. Of X-Forwarded-Proto the last entry counts, for the same reason.
 *
 * `Forwarded` (RFC 7239) is not looked at: a proxy that adds one of the two passes on the other as the client wrote it. */
#pragma once

#include "http/address.h"

#include <stdbool.h>

struct http_request;
struct http_server_settings;

struct http_client {
    struct http_address address;
    char text[HTTP_ADDRESS_TEXT]; /* the address */
};

/* Whether it is the address of a configured proxy. */
bool forwarded_trusts(const struct http_server_settings *settings, const struct http_address *address);

/* Follows the request's headers from its peer, a configured proxy; *secure, whether it speaks TLS, becomes whether its client
 * did. */
void forwarded_read(const struct http_request *request, const struct http_address *peer,
                    struct http_client *client, bool *secure);
