/* Passwords: Argon2id through libsodium (64 MiB, 2 passes: its INTERACTIVE limits, RFC 9106). Both functions take
 * tenths of a second and that memory: never on an event thread, and few at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { PASSWORD_HASH_SIZE = 128 };

/* False when out of memory. */
bool password_hash(const char *password, char hash[PASSWORD_HASH_SIZE]);

enum password_verdict { PASSWORD_RIGHT, PASSWORD_WRONG, PASSWORD_FAILED /* out of memory: try later */ };

/* `hash` may be NULL (no such user, or one without a password): it takes the same time then, and is wrong. */
enum password_verdict password_verify(const char *hash, const char *password);
