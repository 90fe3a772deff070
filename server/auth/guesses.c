#include "auth/guesses.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

struct guesses {
    struct limits *limits;
    /* Of pairs of an account and an address, and of credentials. A bucket is emptied each time that they prove right: as long
     * as it is not full again, they are known. */
    struct rate_table *known;
};

struct guesses *guesses_new(struct limits *limits) {
    static const struct rate once_in_30_days = {.interval = 30 * 24 * 3600 * (int64_t)1000000, .burst = 1};
    struct guesses *guesses = calloc(1, sizeof *guesses);
    if (!guesses)
        return NULL;
    guesses->limits = limits;
    guesses->known = rate_table_new(&once_in_30_days);
    if (guesses->known)
        return guesses;
    free(guesses);
    return NULL;
}

void guesses_free(struct guesses *guesses) {
    if (!guesses)
        return;
    rate_table_free(guesses->known);
    free(guesses);
}

static bool is_known(const struct guesses *guesses, const void *key, size_t size) {
    return rate_wait(guesses->known, key, size, clock_monotonic()) > 0;
}

static void note_known(const struct guesses *guesses, const void *key, size_t size) {
    rate_empty(guesses->known, key, size, clock_monotonic());
}

/* ---- passwords */

bool guesses_password(struct guesses *guesses, struct http_request *request, const char *account,
                      struct password_guess *guess) {
    guess->from.account = secret_digest(account);
    guess->from.address = http_address_counted(http_request_address(request));
    guess->known = is_known(guesses, &guess->from, sizeof guess->from);
    int seconds = limits_take(guesses->limits, LIMIT_PASSWORD, &guess->from, sizeof guess->from);
    if (seconds) {
        limits_reply(LIMIT_PASSWORD, request, seconds);
        return false;
    }
    if (guess->known)
        return true;
    seconds = limits_take(guesses->limits, LIMIT_ACCOUNT, &guess->from.account, sizeof guess->from.account);
    if (!seconds)
        return true;
    limits_give_back(guesses->limits, LIMIT_PASSWORD, &guess->from, sizeof guess->from);
    limits_reply(LIMIT_ACCOUNT, request, seconds);
    return false;
}

void guesses_password_was_not_compared(struct guesses *guesses, const struct password_guess *guess) {
    limits_give_back(guesses->limits, LIMIT_PASSWORD, &guess->from, sizeof guess->from);
    if (!guess->known)
        limits_give_back(guesses->limits, LIMIT_ACCOUNT, &guess->from.account, sizeof guess->from.account);
}

void guesses_password_was_right(struct guesses *guesses, const struct password_guess *guess) {
    guesses_password_was_not_compared(guesses, guess);
    note_known(guesses, &guess->from, sizeof guess->from);
}

/* ---- tokens, sessions, JWTs */

bool guesses_credential(struct guesses *guesses, struct http_request *request, const char *secret) {
    const struct http_address address = http_address_counted(http_request_address(request));
    int seconds = limits_wait(guesses->limits, LIMIT_CREDENTIAL, &address, sizeof address);
    if (!seconds || is_known(guesses, secret, strlen(secret)))
        return true;
    limits_reply(LIMIT_CREDENTIAL, request, seconds);
    return false;
}

void guesses_credential_was(struct guesses *guesses, const struct http_request *request, const char *secret,
                            bool right) {
    size_t size = strlen(secret);
    if (right)
        note_known(guesses, secret, size);
    if (right || is_known(guesses, secret, size))
        return;
    const struct http_address address = http_address_counted(http_request_address(request));
    limits_take(guesses->limits, LIMIT_CREDENTIAL, &address, sizeof address);
}
