#include "command/first_admin.h"

#include "api/arguments.h"
#include "auth/password.h"
#include "auth/secret.h"
#include "base/id.h"
#include "base/log.h"
#include "statements.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { PASSWORD_BYTES = 18, PASSWORD_SIZE = PASSWORD_BYTES / 3 * 4 + 1 };

/* What is made, and told. */
struct first {
    bool made;
    char password[PASSWORD_SIZE];
    char token[SECRET_SIZE];
    char organization[ID_TEXT_SIZE];
    char project[ID_TEXT_SIZE];
    char experiment[ID_TEXT_SIZE];
};

static bool keep_ids(void *context, const struct db_row *row) {
    struct first *first = context;
    char *const ids[] = {first->organization, first->project, first->experiment};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        snprintf(ids[i], ID_TEXT_SIZE, "%s", row->columns[i]);
    first->made = true;
    return true;
}

static void choose_secrets(struct first *first) {
    unsigned char bytes[PASSWORD_BYTES];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2base64(first->password, sizeof first->password, bytes, sizeof bytes,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    secret_new(SECRET_PROJECT_TOKEN, first->token);
}

static enum db_outcome make(struct db *db, const char *email, struct first *first) {
    char password_hash_text[PASSWORD_HASH_SIZE], token_hash[SECRET_HASH_SIZE];
    const char *values[DB_PARAMETERS];
    struct arguments arguments = {0};
    choose_secrets(first);
    secret_hash(first->token, token_hash);
    if (!password_hash(first->password, password_hash_text)) {
        log_error("out of memory for a password");
        return DB_FAILED;
    }
    arguments_set(&arguments, "email", email);
    arguments_set(&arguments, "password_hash", password_hash_text);
    arguments_set(&arguments, "token_hash", token_hash);
    arguments_bind(&arguments, &sql_first_admin, values);
    return db_query(db, &sql_first_admin, values, keep_ids, first);
}

/* Whatever could not be printed nobody knows. */
static void tell(const char *email, const struct first *first) {
    printf("First start: this is told once.\n"
           "Sign in as %s with the password %s\n"
           "Project token: %s\n"
           "Project: %s\n"
           "Experiment: %s\n"
           "Organization: %s\n",
           email, first->password, first->token, first->project, first->experiment, first->organization);
    if (fflush(stdout) != 0 || ferror(stdout))
        log_error("the first admin's password was not printed: set another by carbond user passwd");
}

enum db_outcome first_admin_make(struct db *db, const char *email) {
    struct first first = {0};
    char *missing;
    /* Asked by itself, since a password takes long to hash. */
    enum db_outcome outcome = db_query_text(db, &sql_users_missing, NULL, &missing);
    if (outcome == DB_OK && missing)
        outcome = make(db, email, &first);
    if (outcome == DB_OK && first.made)
        tell(email, &first);
    free(missing);
    sodium_memzero(&first, sizeof first);
    return outcome;
}
