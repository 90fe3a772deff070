/* The first start on an empty database (--first-admin). */
#pragma once

#include "auth/password.h"
#include "auth/secret.h"
#include "base/id.h"
#include "db/connection.h"

enum { FIRST_PASSWORD_BYTES = 18, FIRST_PASSWORD_SIZE = FIRST_PASSWORD_BYTES / 3 * 4 + 1 };

/* What is made, and told. Begins with nothing but the address. */
struct first_admin {
    const char *email;
    bool chosen; /* the secrets are */
    bool made;
    char password[FIRST_PASSWORD_SIZE];
    char password_hash[PASSWORD_HASH_SIZE];
    char token[SECRET_SIZE];
    char token_hash[SECRET_HASH_SIZE];
    char organization[ID_TEXT_SIZE];
    char project[ID_TEXT_SIZE];
    char experiment[ID_TEXT_SIZE];
};

/* If there is no user: adds one with this address and a random password, an organization that they are the admin of, and in
 * it a project, an experiment and a token for trackers; and prints all that to standard output, once it is committed. One
 * statement does it, so that all of it is done or nothing, and by one of the processes that try at once.
 *
 * After DB_AWAY it may be called again with the same `first`: should all have been committed, and only the word of it have
 * been lost, it is found by its token, and told. */
enum db_outcome first_admin_make(struct db *db, struct first_admin *first);

/* Leaves no secret in memory. */
void first_admin_forget(struct first_admin *first);
