#include "auth/password.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

_Static_assert(PASSWORD_HASH_SIZE == crypto_pwhash_STRBYTES, "a hash is what libsodium writes");

/* What the passwords of unknown users are compared with: the hash of random bytes, made when first needed. */
static pthread_mutex_t nobody_lock = PTHREAD_MUTEX_INITIALIZER;
static char nobody_hash[PASSWORD_HASH_SIZE];

static bool hash_bytes(const char *bytes, size_t size, char hash[PASSWORD_HASH_SIZE]) {
    return crypto_pwhash_str(hash, bytes, size, crypto_pwhash_OPSLIMIT_INTERACTIVE,
                             crypto_pwhash_MEMLIMIT_INTERACTIVE) == 0;
}

bool password_hash(const char *password, char hash[PASSWORD_HASH_SIZE]) {
    return hash_bytes(password, strlen(password), hash);
}

/* NULL when out of memory; the next call tries again. */
static const char *hash_of_nobody(void) {
    pthread_mutex_lock(&nobody_lock);
    bool ready = nobody_hash[0] != '\0';
    if (!ready) {
        char bytes[32], hash[PASSWORD_HASH_SIZE];
        randombytes_buf(bytes, sizeof bytes);
        ready = hash_bytes(bytes, sizeof bytes, hash);
        if (ready)
            memcpy(nobody_hash, hash, sizeof hash);
    }
    pthread_mutex_unlock(&nobody_lock);
    return ready ? nobody_hash : NULL;
}

enum password_verdict password_verify(const char *hash, const char *password) {
    /* Made with whichever comes first, or the first unknown user would be told by the time it takes. */
    const char *nobody = hash_of_nobody();
    if (!nobody)
        return PASSWORD_FAILED;
    errno = 0;
    if (crypto_pwhash_str_verify(hash ? hash : nobody, password, strlen(password)) == 0)
        return hash ? PASSWORD_RIGHT : PASSWORD_WRONG;
    /* libsodium returns the same for a wrong password, but leaves the errno of the failed allocation. */
    return errno == ENOMEM ? PASSWORD_FAILED : PASSWORD_WRONG;
}
