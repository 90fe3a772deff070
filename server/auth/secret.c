#include "auth/secret.h"

#include <sodium.h>
#include <string.h>

enum { PREFIX_SIZE = 4, RANDOM_SIZE = 32 };

_Static_assert(SECRET_SIZE ==
                   PREFIX_SIZE +
                       sodium_base64_ENCODED_LEN(RANDOM_SIZE, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
               "a secret is its prefix and its random bits");
_Static_assert(SECRET_DIGEST_SIZE == crypto_hash_sha256_BYTES, "a digest is SHA-256");

void secret_new(const char prefix[4], char secret[SECRET_SIZE]) {
    unsigned char bits[RANDOM_SIZE];
    randombytes_buf(bits, sizeof bits);
    memcpy(secret, prefix, PREFIX_SIZE);
    sodium_bin2base64(secret + PREFIX_SIZE, SECRET_SIZE - PREFIX_SIZE, bits, sizeof bits,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bits, sizeof bits);
}

struct secret_digest secret_digest(const char *secret) {
    struct secret_digest digest;
    crypto_hash_sha256(digest.bytes, (const unsigned char *)secret, strlen(secret));
    return digest;
}

void secret_hash(const char *secret, char hash[SECRET_HASH_SIZE]) {
    struct secret_digest digest = secret_digest(secret);
    memcpy(hash, "\\x", 2);
    sodium_bin2hex(hash + 2, SECRET_HASH_SIZE - 2, digest.bytes, sizeof digest.bytes);
}
