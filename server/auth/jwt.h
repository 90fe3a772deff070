/* JSON Web Tokens (RFC 7519) signed with HS256, verified through the library jose. */
#pragma once

#include "base/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JWT_KEY_MINIMUM = 32, JWT_KEY_MAXIMUM = 4096, JWT_SKEW_SECONDS = 60, JWT_TEXT_MAXIMUM = 8192 };

struct jwt_policy {
    unsigned char *key; /* NULL: no JWT is accepted */
    size_t key_size;
    bool require_expiry;
    const char *issuer;   /* NULL: any, or none */
    const char *audience; /* NULL: any, or none; otherwise `aud` must be it or a list with it */
};

/* Reads the key from a file, also anew while others verify; one newline at its end (\n or \r\n) is not part of it. Returns
 * NULL, or what is wrong (the policy keeps the key that it had; the text is static, or valid until the thread's next call).
 * The caller frees with jwt_policy_free. */
const char *jwt_policy_read_key(struct jwt_policy *policy, const char *path);
void jwt_policy_free(struct jwt_policy *policy);

/* Whether `token` is a JWT that the policy accepts at `now` (seconds since 1970), and if so, whose: the claim `sub`,
 * which must be a UUID. The header's `alg` must be exactly HS256 and `crit` absent; `exp` and `nbf` are numbers, and
 * may be off by JWT_SKEW_SECONDS. May be called from any thread; does not block; never logs the token. */
bool jwt_verify(const struct jwt_policy *policy, const char *token, int64_t now, struct id *subject);
