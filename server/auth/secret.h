/* Tokens and sessions: 256 random bits in base64url behind a prefix that tells the kind. Only the SHA-256 of the
 * text is stored: with that many random bits there is nothing to guess, so a fast hash without salt is right, and the
 * database's unique index finds the row (comparing hashes leaks nothing about the token). */
#pragma once

#define SECRET_PROJECT_TOKEN "cpt_"
#define SECRET_USER_TOKEN    "cut_"
#define SECRET_SESSION       "ses_"

enum {
    SECRET_SIZE = 4 + 43 + 1, /* prefix, 32 bytes in base64url without padding, NUL */
    SECRET_DIGEST_SIZE = 32,
    SECRET_HASH_SIZE =
        2 + 2 * SECRET_DIGEST_SIZE + 1, /* PostgreSQL's bytea in hexadecimal: \x, digits, NUL */
};

struct secret_digest {
    unsigned char bytes[SECRET_DIGEST_SIZE];
};

void secret_new(const char prefix[4], char secret[SECRET_SIZE]);
struct secret_digest secret_digest(const char *secret);

/* The digest, as the text of a parameter. */
void secret_hash(const char *secret, char hash[SECRET_HASH_SIZE]);
