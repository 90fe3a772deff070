#include "auth/jwt.h"

#include "base/file.h"

#include <errno.h>
#include <jose/b64.h>
#include <jose/jws.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* The parts of a compact JWS: BASE64URL(header).BASE64URL(payload).BASE64URL(signature) */
struct part {
    const char *text;
    size_t size;
};
struct compact {
    struct part header, payload, signature;
};

/* ---- the key ---- */

/* Guards the key of every policy, which may be read anew while others verify. */
static pthread_mutex_t key_lock = PTHREAD_MUTEX_INITIALIZER;

static const char too_long[] = "the key is longer than 4096 bytes";

/* Takes ownership of the key. */
static void replace_key(struct jwt_policy *policy, unsigned char *key, size_t size) {
    pthread_mutex_lock(&key_lock);
    unsigned char *old = policy->key;
    size_t old_size = policy->key_size;
    policy->key = key;
    policy->key_size = size;
    pthread_mutex_unlock(&key_lock);
    if (old)
        sodium_memzero(old, old_size);
    free(old);
}

static const char *set_key(struct jwt_policy *policy, const unsigned char *bytes, size_t size) {
    if (size < JWT_KEY_MINIMUM)
        return "the key is too short: HS256 needs at least 32 bytes";
    if (size > JWT_KEY_MAXIMUM)
        return too_long;
    unsigned char *key = malloc(size);
    if (!key)
        return "out of memory";
    memcpy(key, bytes, size);
    replace_key(policy, key, size);
    return NULL;
}

const char *jwt_policy_read_key(struct jwt_policy *policy, const char *path) {
    unsigned char bytes[JWT_KEY_MAXIMUM + 2]; /* with a newline at its end */
    ssize_t size = file_read(path, bytes, sizeof bytes, NULL);
    if (size < 0)
        return errno == EFBIG ? too_long : strerror(errno);
    const char *fault = set_key(policy, bytes, file_size_without_newline(bytes, (size_t)size));
    sodium_memzero(bytes, sizeof bytes);
    return fault;
}

void jwt_policy_free(struct jwt_policy *policy) {
    replace_key(policy, NULL, 0);
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

/* The library takes no key beyond 1024 bytes; HMAC replaces one that is longer than SHA-256's block by its hash
 * (RFC 2104), and so we may. */
static json_t *encoded_key(const unsigned char *key, size_t size) {
    unsigned char digest[crypto_hash_sha256_BYTES];
    if (size <= 64)
        return jose_b64_enc(key, size);
    crypto_hash_sha256(digest, key, size);
    json_t *encoded = jose_b64_enc(digest, sizeof digest);
    sodium_memzero(digest, sizeof digest);
    return encoded;
}

/* As a JSON Web Key that is good for HS256 alone. */
static json_t *web_key(const struct jwt_policy *policy) {
    pthread_mutex_lock(&key_lock);
    json_t *encoded = policy->key ? encoded_key(policy->key, policy->key_size) : NULL;
    pthread_mutex_unlock(&key_lock);
    return json_pack("{s:s, s:s, s:o}", "kty", "oct", "alg", "HS256", "k", encoded);
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
    if (!split(token, &compact) || !header_is_right(compact.header) || !signature_is_right(policy, &compact))
        return false;
    json_auto_t *claims = decode(compact.payload);
    const char *id = json_string_value(json_object_get(claims, "sub"));
    return id && claims_are_right(policy, claims, now) && id_parse(id, subject);
}
