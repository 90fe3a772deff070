#include "http/tls.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/timestamp.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* TLS 1.3 and 1.2. A key exchange by ephemeral keys alone, so that who records the traffic and gets the certificate's key
 * later reads nothing; ciphers that authenticate what they encrypt; curves that every client of today knows. Of
 * signatures, SECURE128 leaves out those with SHA-1. The client's order counts: it knows what it computes fast. */
static const char priorities[] = "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
                                 ":-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA"
                                 ":-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:+AES-256-GCM:-MAC-ALL:+AEAD"
                                 ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1";

enum { FILE_LIMIT = 256 * 1024 };

#define SOON (INT64_C(14) * 24 * 3600 * 1000000)

struct tls_credentials {
    atomic_int holders; /* connections, and the listener while they are the ones of now */
    gnutls_certificate_credentials_t certificate;
    int64_t begins, expires; /* of the whole chain, in microseconds since 1970 */
};

struct tls {
    const char *certificate_file, *key_file;
    pthread_mutex_t lock; /* guards `now`; nothing else is locked under it */
    struct tls_credentials *now;
};

/* ---- the files */

static bool is_useless(const char *what, const char *file, const char *reason) {
    log_error(what, "file", file, "reason", reason);
    return false;
}

static bool certificate_is_useless(const char *file, const char *reason) {
    return is_useless("cannot use the TLS certificate", file, reason);
}

static bool key_is_useless(const char *file, const char *reason) {
    return is_useless("cannot use the TLS key", file, reason);
}

/* Those of the file's group may read it: some services share a key in this way. */
static void tell_mode(const char *file, const struct stat *about) {
    char mode[8];
    if (!(about->st_mode & (S_IWGRP | S_IRWXO)))
        return;
    snprintf(mode, sizeof mode, "%04o", about->st_mode & 07777);
    log_warn("the TLS key is open to others", "file", file, "mode", mode);
}

/* Takes the chain's first certificate to be the server's own, and sorts the others behind it. */
static bool parse_certificate(const char *file, const gnutls_datum_t *pem, gnutls_x509_crt_t **chain,
                              unsigned *length) {
    int code =
        gnutls_x509_crt_list_import2(chain, length, pem, GNUTLS_X509_FMT_PEM, GNUTLS_X509_CRT_LIST_SORT);
    return code >= 0 || certificate_is_useless(file, gnutls_strerror(code));
}

static bool read_certificate(const char *file, gnutls_x509_crt_t **chain, unsigned *length) {
    char *bytes = malloc(FILE_LIMIT);
    if (!bytes)
        return certificate_is_useless(file, "out of memory");
    ssize_t size = file_read(file, bytes, FILE_LIMIT, NULL);
    const gnutls_datum_t pem = {(unsigned char *)bytes, size > 0 ? (unsigned)size : 0};
    bool well = size < 0 ? certificate_is_useless(file, strerror(errno))
                         : parse_certificate(file, &pem, chain, length);
    free(bytes);
    return well;
}

static bool parse_key(const char *file, const gnutls_datum_t *pem, gnutls_x509_privkey_t key) {
    int code = gnutls_x509_privkey_import2(key, pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (code == GNUTLS_E_DECRYPTION_FAILED)
        return key_is_useless(file, "it is encrypted");
    return code >= 0 || key_is_useless(file, gnutls_strerror(code));
}

static bool read_key(const char *file, gnutls_x509_privkey_t key) {
    char bytes[16 * 1024];
    struct stat about;
    ssize_t size = file_read(file, bytes, sizeof bytes, &about);
    if (size < 0)
        return key_is_useless(file, strerror(errno));
    const gnutls_datum_t pem = {(unsigned char *)bytes, (unsigned)size};
    bool well = parse_key(file, &pem, key);
    gnutls_memset(bytes, 0, sizeof bytes);
    if (well)
        tell_mode(file, &about);
    return well;
}

/* ---- credentials */

static void free_chain(gnutls_x509_crt_t *chain, unsigned length) {
    for (unsigned i = 0; i < length; i++)
        gnutls_x509_crt_deinit(chain[i]);
    gnutls_free(chain);
}

static void note_validity(struct tls_credentials *credentials, gnutls_x509_crt_t *chain, unsigned length) {
    credentials->begins = INT64_MIN;
    credentials->expires = INT64_MAX;
    for (unsigned i = 0; i < length; i++) {
        int64_t begins = (int64_t)gnutls_x509_crt_get_activation_time(chain[i]) * 1000000;
        int64_t expires = (int64_t)gnutls_x509_crt_get_expiration_time(chain[i]) * 1000000;
        credentials->begins = begins > credentials->begins ? begins : credentials->begins;
        credentials->expires = expires < credentials->expires ? expires : credentials->expires;
    }
}

/* Refused clients are better off than those of a server that does not start: such a certificate is served all the same. */
static void tell_validity(const char *file, const struct tls_credentials *credentials) {
    char begins[TIMESTAMP_TEXT_SIZE], expires[TIMESTAMP_TEXT_SIZE];
    int64_t now = clock_now();
    timestamp_format(credentials->begins, begins);
    timestamp_format(credentials->expires, expires);
    if (credentials->expires <= now)
        log_error("the TLS certificate has expired", "file", file, "expired", expires);
    else if (credentials->expires <= now + SOON)
        log_warn("the TLS certificate expires soon", "file", file, "expires", expires);
    if (credentials->begins > now)
        log_error("the TLS certificate is not valid yet", "file", file, "begins", begins);
}

/* Copies both into the credentials, if they belong to each other. */
static bool join(const struct tls *tls, struct tls_credentials *credentials, gnutls_x509_crt_t *chain,
                 unsigned length, gnutls_x509_privkey_t key) {
    int code = gnutls_certificate_set_x509_key(credentials->certificate, chain, (int)length, key);
    if (code < 0)
        return key_is_useless(tls->key_file, gnutls_strerror(code));
    note_validity(credentials, chain, length);
    tell_validity(tls->certificate_file, credentials);
    return true;
}

static bool fill_with_key(const struct tls *tls, struct tls_credentials *credentials,
                          gnutls_x509_privkey_t key) {
    gnutls_x509_crt_t *chain;
    unsigned length;
    if (!read_key(tls->key_file, key) || !read_certificate(tls->certificate_file, &chain, &length))
        return false;
    bool well = join(tls, credentials, chain, length, key);
    free_chain(chain, length);
    return well;
}

static bool fill(const struct tls *tls, struct tls_credentials *credentials) {
    gnutls_x509_privkey_t key;
    if (gnutls_x509_privkey_init(&key) < 0)
        return key_is_useless(tls->key_file, "out of memory");
    bool well = fill_with_key(tls, credentials, key);
    gnutls_x509_privkey_deinit(key);
    return well;
}

void tls_release(struct tls_credentials *credentials) {
    if (!credentials || atomic_fetch_sub(&credentials->holders, 1) > 1)
        return;
    gnutls_certificate_free_credentials(credentials->certificate);
    free(credentials);
}

static struct tls_credentials *credentials_new(const struct tls *tls) {
    struct tls_credentials *credentials = calloc(1, sizeof *credentials);
    if (!credentials || gnutls_certificate_allocate_credentials(&credentials->certificate) < 0) {
        certificate_is_useless(tls->certificate_file, "out of memory");
        free(credentials);
        return NULL;
    }
    atomic_init(&credentials->holders, 1);
    if (fill(tls, credentials))
        return credentials;
    tls_release(credentials);
    return NULL;
}

/* ---- the listener's */

struct tls *tls_new(const char *certificate_file, const char *key_file) {
    struct tls *tls = calloc(1, sizeof *tls);
    if (!tls) {
        certificate_is_useless(certificate_file, "out of memory");
        return NULL;
    }
    tls->certificate_file = certificate_file;
    tls->key_file = key_file;
    pthread_mutex_init(&tls->lock, NULL);
    if (tls_reload(tls))
        return tls;
    tls_free(tls);
    return NULL;
}

bool tls_reload(struct tls *tls) {
    struct tls_credentials *newer = credentials_new(tls);
    if (!newer)
        return false;
    pthread_mutex_lock(&tls->lock);
    struct tls_credentials *older = tls->now;
    tls->now = newer;
    pthread_mutex_unlock(&tls->lock);
    tls_release(older);
    return true;
}

void tls_free(struct tls *tls) {
    if (!tls)
        return;
    tls_release(tls->now);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}

static struct tls_credentials *hold(struct tls *tls) {
    pthread_mutex_lock(&tls->lock);
    struct tls_credentials *credentials = tls->now;
    atomic_fetch_add(&credentials->holders, 1);
    pthread_mutex_unlock(&tls->lock);
    return credentials;
}

int64_t tls_expiry(struct tls *tls) {
    struct tls_credentials *credentials = hold(tls);
    int64_t expires = credentials->expires;
    tls_release(credentials);
    return expires;
}

/* ---- sessions */

/* Of a session that was given no credentials. */
static int no_certificate(gnutls_session_t session, const gnutls_datum_t *names, int name_count,
                          const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                          gnutls_pcert_st **certificates, unsigned *length, gnutls_privkey_t *key) {
    (void)session, (void)names, (void)name_count, (void)algorithms, (void)algorithm_count;
    *certificates = NULL;
    *length = 0;
    *key = NULL;
    return GNUTLS_E_NO_CERTIFICATE_FOUND;
}

/* It would have one certificate for all sessions, for good; or ask for one, which it never needs to, since every session
 * has its credentials by then. */
void tls_options(const struct tls *tls, struct MHD_OptionItem options[TLS_OPTIONS]) {
    size_t count = 0;
    if (tls) {
        options[count++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)no_certificate};
        options[count++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)priorities};
    }
    options[count] = (struct MHD_OptionItem){.option = MHD_OPTION_END};
}

struct tls_credentials *tls_attach(struct tls *tls, gnutls_session_t session) {
    struct tls_credentials *credentials = hold(tls);
    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials->certificate) >= 0)
        return credentials;
    tls_release(credentials);
    return NULL;
}
