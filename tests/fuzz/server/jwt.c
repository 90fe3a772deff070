/* JSON Web Tokens. The input is a token, or HEADER\nPAYLOAD, which is signed here. Whatever is accepted was signed with
 * the key (as another library computes it), says HS256, is of this time, of this issuer and for this audience, and names
 * a UUID; with any bit of its signature changed, or under another key, it is refused. */
#include "fuzz.h"

#include "auth/jwt.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>

enum { NOW = 1795455600, BASE64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING, TOKEN_SIZE = 16384 };

static unsigned char right_key[32] = "a key of exactly thirty-two byte",
                     wrong_key[32] = "A key of exactly thirty-two byte";

static struct jwt_policy policy_of(unsigned char key[32], bool strict) {
    return (struct jwt_policy){.key = key,
                               .key_size = 32,
                               .require_expiry = strict,
                               .issuer = strict ? "https://id.example" : NULL,
                               .audience = strict ? "carbond" : NULL};
}

/* ---- the oracle */

static void sign(const char *text, size_t size, unsigned char mac[crypto_auth_hmacsha256_BYTES]) {
    crypto_auth_hmacsha256(mac, (const unsigned char *)text, size, right_key);
}

static json_t *decode(const char *text, size_t size) {
    char bytes[TOKEN_SIZE];
    size_t length;
    HOLDS(sodium_base642bin((unsigned char *)bytes, sizeof bytes, text, size, NULL, &length, NULL, BASE64) ==
          0);
    return json_loadb(bytes, length, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
}

static bool member_is(const json_t *object, const char *name, const char *text) {
    const char *value = json_string_value(json_object_get(object, name));
    return value && strcmp(value, text) == 0;
}

static bool audience_has(const json_t *audience, const char *text) {
    size_t i;
    json_t *entry;
    json_array_foreach(audience, i, entry) {
        if (json_is_string(entry) && strcmp(json_string_value(entry), text) == 0)
            return true;
    }
    return json_is_string(audience) && strcmp(json_string_value(audience), text) == 0;
}

static void check_claims(const json_t *claims, const struct jwt_policy *policy, const struct id *subject) {
    char id[ID_TEXT_SIZE];
    const json_t *expiry = json_object_get(claims, "exp"), *begin = json_object_get(claims, "nbf");
    HOLDS(expiry || !policy->require_expiry);
    HOLDS(!expiry || json_number_value(expiry) > NOW - JWT_SKEW_SECONDS);
    HOLDS(!begin || (json_is_number(begin) && json_number_value(begin) <= NOW + JWT_SKEW_SECONDS));
    HOLDS(!policy->issuer || member_is(claims, "iss", policy->issuer));
    HOLDS(!policy->audience || audience_has(json_object_get(claims, "aud"), policy->audience));
    id_format(subject, id);
    HOLDS(strcasecmp(json_string_value(json_object_get(claims, "sub")), id) == 0);
}

/* The last of the 43 digits says four bits of the signature, and two that nobody reads. */
static void check_signature(const char *signature, const unsigned char mac[crypto_auth_hmacsha256_BYTES]) {
    char expected[sodium_base64_ENCODED_LEN(crypto_auth_hmacsha256_BYTES, BASE64)];
    sodium_bin2base64(expected, sizeof expected, mac, crypto_auth_hmacsha256_BYTES, BASE64);
    size_t length = strlen(expected);
    HOLDS(strlen(signature) == length && memcmp(signature, expected, length - 1) == 0);
}

static void check_accepted(const char *token, const struct jwt_policy *policy, const struct id *subject) {
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    size_t header_size = strcspn(token, "."), signed_size = (size_t)(strrchr(token, '.') - token);
    sign(token, signed_size, mac);
    check_signature(token + signed_size + 1, mac);
    json_t *header = decode(token, header_size);
    json_t *claims = decode(token + header_size + 1, signed_size - header_size - 1);
    HOLDS(member_is(header, "alg", "HS256") && !json_object_get(header, "crit"));
    check_claims(claims, policy, subject);
    json_decref(header);
    json_decref(claims);
}

/* ---- the input */

static void check_forgeries(const char *token, bool strict) {
    struct jwt_policy policy = policy_of(right_key, strict), other = policy_of(wrong_key, strict);
    struct id subject;
    char forged[TOKEN_SIZE];
    size_t size = strlen(token), signed_size = (size_t)(strrchr(token, '.') - token);
    HOLDS(!jwt_verify(&other, token, NOW, &subject));
    memcpy(forged, token, size + 1);
    for (size_t i = signed_size + 1; i < size - 1; i++) {
        forged[i] = token[i] == 'A' ? 'B' : 'A';
        HOLDS(!jwt_verify(&policy, forged, NOW, &subject));
        forged[i] = token[i];
    }
}

static void check_token(const char *token, bool strict) {
    struct jwt_policy policy = policy_of(right_key, strict);
    struct id subject;
    if (!jwt_verify(&policy, token, NOW, &subject))
        return;
    check_accepted(token, &policy, &subject);
    check_forgeries(token, strict);
}

static char *append_base64(char *at, const void *bytes, size_t size) {
    sodium_bin2base64(at, sodium_base64_encoded_len(size, BASE64), bytes, size, BASE64);
    return at + strlen(at);
}

static void make_token(const char *header, const char *payload, char token[TOKEN_SIZE]) {
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    char *at = append_base64(token, header, (size_t)(payload - header) - 1);
    *at++ = '.';
    at = append_base64(at, payload, strlen(payload));
    sign(token, (size_t)(at - token), mac);
    *at++ = '.';
    append_base64(at, mac, sizeof mac);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size), token[TOKEN_SIZE];
    const char *newline = strchr(text, '\n');
    if (newline && strlen(text) < TOKEN_SIZE / 2)
        make_token(text, newline + 1, token);
    else
        newline = NULL;
    check_token(newline ? token : text, true);
    check_token(newline ? token : text, false);
    free(text);
    return 0;
}
