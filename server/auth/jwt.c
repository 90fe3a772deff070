#include "auth/jwt.h"

#include <errno.h>
#include <fcntl.h>
#include <jose/b64.h>
#include <jose/jws.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The parts of a compact JWS: BASE64URL(header).BASE64URL(payload).BASE64URL(signature) */
struct part {
    const char *text;
    size_t size;
};
struct compact {
    struct part header, payload, signature;
};

/* ---- the key ---- */

static const char *failure(const char *what) {
    static char sentence[160];
    snprintf(sentence, sizeof sentence, "the JWT key file cannot be %s: %s", what, strerror(errno));
    return sentence;
}

/* Reads until the end, or until `bytes` is full. */
static ssize_t read_all(int file, unsigned char *bytes, size_t capacity) {
    size_t size = 0;
    while (size < capacity) {
        ssize_t got = read(file, bytes + size, capacity - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        size += (size_t)got;
    }
    return (ssize_t)size;
}

static size_t size_without_newline(const unsigned char *bytes, size_t size) {
    if (size > 0 && bytes[size - 1] == '\n')
        size--;
    else
        return size;
    return size > 0 && bytes[size - 1] == '\r' ? size - 1 : size;
}

static const char *set_key(struct jwt_policy *policy, const unsigned char *bytes, size_t size) {
    if (size < JWT_KEY_MINIMUM)
        return "the JWT key is too short: HS256 needs at least 32 bytes";
    if (size > JWT_KEY_MAXIMUM)
        return "the JWT key is longer than 4096 bytes";
    unsigned char *key = malloc(size);
    if (!key)
        return "out of memory";
    memcpy(key, bytes, size);
    jwt_policy_free(policy);
    policy->key = key;
    policy->key_size = size;
    return NULL;
}

const char *jwt_policy_read_key(struct jwt_policy *policy, const char *path) {
    unsigned char bytes[JWT_KEY_MAXIMUM + 3]; /* a newline, and a byte more to see that there is more */
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return failure("opened");
    ssize_t size = read_all(file, bytes, sizeof bytes);
    const char *fault =
        size < 0 ? failure("read") : set_key(policy, bytes, size_without_newline(bytes, (size_t)size));
    close(file);
    sodium_memzero(bytes, sizeof bytes);
    return fault;
}

void jwt_policy_free(struct jwt_policy *policy) {
    if (policy->key)
        sodium_memzero(policy->key, policy->key_size);
    free(policy->key);
    policy->key = NULL;
    policy->key_size = 0;
}

/* ---- the token ---- */

static bool split(const char *token, struct compact *compact) {
    struct part *parts[] = {&compact->header, &compact->payload, &compact->signature};
    if (strnlen(token, JWT_TEXT_MAXIMUM + 1) > JWT_TEXT_MAXIMUM)
        return false;
    for (size_t i = 0; i < 3; i++) {
        size_t size = strcspn(token, ".");
        if (size == 0 || token[size] != (i < 2 ? '.' : '\0'))
            return false;
        *parts[i] = (struct part){token, size};
        token += size + 1;
    }
    return true;
}

/* The JSON in a part; NULL if there is none. Duplicate members are refused, lest we and the library read different
 * ones; all numbers are read as real ones, so that none is too large. */
static json_t *decode(struct part part) {
    char bytes[JWT_TEXT_MAXIMUM];
    size_t size = jose_b64_dec_buf(part.text, part.size, bytes, sizeof bytes);
    if (size > sizeof bytes)
        return NULL;
    return json_loadb(bytes, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
}

static bool is_text(const json_t *value, const char *text) {
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static bool header_is_right(struct part part) {
    json_auto_t *header = decode(part);
    return is_text(json_object_get(header, "alg"), "HS256") && !json_object_get(header, "crit");
}

/* The library's own handler prints to standard error. */
static void ignore_error(void *misc, const char *file, int line, uint64_t error, const char *format,
                         va_list ap) {
    (void)misc, (void)file, (void)line, (void)error, (void)format, (void)ap;
}

/* As a JSON Web Key that is good for HS256 alone. The library takes no key beyond 1024 bytes; HMAC replaces one that
 * is longer than SHA-256's block by its hash (RFC 2104), and so we may. */
static json_t *web_key(const struct jwt_policy *policy) {
    unsigned char digest[crypto_hash_sha256_BYTES];
    json_t *bytes;
    if (policy->key_size > 64) {
        crypto_hash_sha256(digest, policy->key, policy->key_size);
        bytes = jose_b64_enc(digest, sizeof digest);
        sodium_memzero(digest, sizeof digest);
    } else {
        bytes = jose_b64_enc(policy->key, policy->key_size);
    }
    return json_pack("{s:s, s:s, s:o}", "kty", "oct", "alg", "HS256", "k", bytes);
}

static bool signature_is_right(const struct jwt_policy *policy, const struct compact *token) {
    json_auto_t *key = web_key(policy);
    json_auto_t *jws = json_pack("{s:s%, s:s%, s:s%}", "protected", token->header.text, token->header.size,
                                 "payload", token->payload.text, token->payload.size, "signature",
                                 token->signature.text, token->signature.size);
    jose_cfg_auto_t *configuration = jose_cfg();
    if (!key || !jws || !configuration)
        return false;
    jose_cfg_set_err_func(configuration, ignore_error, NULL);
    return jose_jws_ver(configuration, jws, NULL, key, true);
}

static bool time_is_right(const struct jwt_policy *policy, const json_t *claims, int64_t now) {
    const json_t *expiry = json_object_get(claims, "exp");
    const json_t *not_before = json_object_get(claims, "nbf");
    if (expiry ? !json_is_number(expiry) : policy->require_expiry)
        return false;
    if (expiry && json_number_value(expiry) + JWT_SKEW_SECONDS <= (double)now)
        return false;
    if (!not_before)
        return true;
    return json_is_number(not_before) && json_number_value(not_before) - JWT_SKEW_SECONDS <= (double)now;
}

static bool audience_is_right(const json_t *audience, const char *wanted) {
    size_t i;
    json_t *value;
    json_array_foreach(audience, i, value) {
        if (is_text(value, wanted))
            return true;
    }
    return is_text(audience, wanted);
}

static bool claims_are_right(const struct jwt_policy *policy, const json_t *claims, int64_t now) {
    if (!time_is_right(policy, claims, now))
        return false;
    if (policy->issuer && !is_text(json_object_get(claims, "iss"), policy->issuer))
        return false;
    return !policy->audience || audience_is_right(json_object_get(claims, "aud"), policy->audience);
}

bool jwt_verify(const struct jwt_policy *policy, const char *token, int64_t now, struct id *subject) {
    struct compact compact;
    if (!policy->key || !split(token, &compact) || !header_is_right(compact.header) ||
        !signature_is_right(policy, &compact))
        return false;
    json_auto_t *claims = decode(compact.payload);
    const char *id = json_string_value(json_object_get(claims, "sub"));
    return id && claims_are_right(policy, claims, now) && id_parse(id, subject);
}
