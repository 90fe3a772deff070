#include "command/first_admin.h"

#include "api/arguments.h"
#include "base/log.h"
#include "statements.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static bool choose_secrets(struct first_admin *first) {
    unsigned char bytes[FIRST_PASSWORD_BYTES];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2base64(first->password, sizeof first->password, bytes, sizeof bytes,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    secret_new(SECRET_PROJECT_TOKEN, first->token);
    secret_hash(first->token, first->token_hash);
    first->chosen = password_hash(first->password, first->password_hash);
    if (!first->chosen)
        log_error("out of memory for a password");
    return first->chosen;
}

static bool keep_ids(void *context, const struct db_row *row) {
    struct first_admin *first = context;
    char *const ids[] = {first->organization, first->project, first->experiment};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        snprintf(ids[i], ID_TEXT_SIZE, "%s", row->columns[i]);
    first->made = true;
    return true;
}

static enum db_outcome make(struct db *db, struct first_admin *first) {
    const char *values[DB_PARAMETERS];
    struct arguments arguments = {0};
    first->made = false; /* a row that came without the word that it is committed tells nothing */
    arguments_set(&arguments, "email", first->email);
    arguments_set(&arguments, "password_hash", first->password_hash);
    arguments_set(&arguments, "token_hash", first->token_hash);
    arguments_bind(&arguments, &sql_first_admin, values);
    return db_query(db, &sql_first_admin, values, keep_ids, first);
}

static enum db_outcome make_if_missing(struct db *db, struct first_admin *first) {
    char *missing;
    /* Asked by itself, since a password takes long to hash. */
    enum db_outcome outcome = db_query_text(db, &sql_users_missing, NULL, &missing);
    if (outcome == DB_OK && missing)
        outcome = choose_secrets(first) ? make(db, first) : DB_FAILED;
    free(missing);
    return outcome;
}

/* What an earlier call has begun may end while this one waits for it, and then only the next statement sees it. */
static enum db_outcome make_again(struct db *db, struct first_admin *first) {
    enum db_outcome outcome = make(db, first);
    return outcome == DB_OK && !first->made ? make(db, first) : outcome;
}

/* Whatever could not be printed nobody knows. */
static void tell(const struct first_admin *first) {
    printf("First start: this is told once.\n"
           "Sign in as %s with the password %s\n"
           "Project token: %s\n"
           "Project: %s\n"
           "Experiment: %s\n"
           "Organization: %s\n",
           first->email, first->password, first->token, first->project, first->experiment,
           first->organization);
    if (fflush(stdout) != 0 || ferror(stdout))
        log_error("the first admin's password was not printed: set another by carbond user passwd");
}

enum db_outcome first_admin_make(struct db *db, struct first_admin *first) {
    enum db_outcome outcome = first->chosen ? make_again(db, first) : make_if_missing(db, first);
    if (outcome == DB_OK && first->made)
        tell(first);
    return outcome;
}

void first_admin_forget(struct first_admin *first) {
    sodium_memzero(first, sizeof *first);
}
