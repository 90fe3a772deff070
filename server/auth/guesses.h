/* Guessing at secrets, and how it is slowed down without shutting out who knows them.
 *
 * A wrong password counts twice: for the account and the address that it came from, and for the account from wherever. The
 * second count is several times the first one's, so nobody uses it up from one address; many can, together, and then no
 * address may try. But where somebody has signed in lately is known (30 days, as long as the server runs and has room), and
 * from there the account's own count does not matter.
 *
 * Credentials that nobody holds count for their address. When these are too many, others from there are not even looked up,
 * but for those that are known. (Tokens cannot be guessed; this spares the database.)
 *
 * From any thread; nothing here waits. */
#pragma once

#include "auth/limits.h"
#include "auth/secret.h"

struct guesses;

/* Keeps a pointer to the limits. NULL when out of memory. */
struct guesses *guesses_new(struct limits *limits);
void guesses_free(struct guesses *guesses);

/* ---- passwords */

struct password_guess {
    struct {
        struct secret_digest account;
        struct http_address address;
    } from;
    bool known; /* its owner has signed in from there */
};

/* Before a password is compared, whether there is such an account or not; `account` is the address in the form that the
 * database compares. Counts as wrong until it is told otherwise. False: a 429 was left. */
bool guesses_password(struct guesses *guesses, struct http_request *request, const char *account,
                      struct password_guess *guess);

/* It was right; or it was not compared after all. */
void guesses_password_was_right(struct guesses *guesses, const struct password_guess *guess);
void guesses_password_was_not_compared(struct guesses *guesses, const struct password_guess *guess);

/* ---- tokens, sessions, JWTs */

/* Before a secret is looked up. False: a 429 was left. */
bool guesses_credential(struct guesses *guesses, struct http_request *request, const char *secret);

/* Whether somebody holds it. What was good once, and has expired or been revoked since, is no guess. */
void guesses_credential_was(struct guesses *guesses, const struct http_request *request, const char *secret,
                            bool right);
