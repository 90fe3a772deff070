/* TLS (GnuTLS) under the HTTP server: what may be negotiated, and whose certificate is shown.
 *
 * A certificate with its chain and its key are read from two PEM files, and anew by tls_reload. A connection keeps the
 * credentials that it began with until it ends, so that no connection notices that others get newer ones. */
#pragma once

#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

struct tls;

/* Reads the files; keeps pointers to the paths. NULL if they are of no use (logged). */
struct tls *tls_new(const char *certificate_file, const char *key_file);

/* Reads them anew. False if they are of no use (logged): what was read before stays. From any thread. */
bool tls_reload(struct tls *tls);

/* After the last tls_release. NULL is none. */
void tls_free(struct tls *tls);

/* When the earliest of the certificates shown now expires: microseconds since 1970. From any thread. */
int64_t tls_expiry(struct tls *tls);

enum { TLS_OPTIONS = 3 };

/* What libmicrohttpd must know to speak TLS (MHD_USE_TLS is set as well); nothing for NULL. */
void tls_options(const struct tls *tls, struct MHD_OptionItem options[TLS_OPTIONS]);

struct tls_credentials;

/* Gives a session the credentials of now, before its handshake; tls_release once the session has ended. NULL when out of
 * memory: its handshake will fail. */
struct tls_credentials *tls_attach(struct tls *tls, gnutls_session_t session);
void tls_release(struct tls_credentials *credentials);
