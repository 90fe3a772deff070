#include "auth/caller.h"

#include "auth/secret.h"
#include "base/clock.h"
#include "statements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void caller_format(const struct caller *caller, char text[CALLER_TEXT_SIZE]) {
    snprintf(text, CALLER_TEXT_SIZE, "(%s,%s,%s)", caller->user_id, caller->project_id,
             caller->everywhere ? "t" : "f");
}

static bool starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void copy_id(char out[ID_TEXT_SIZE], const char *id) {
    snprintf(out, ID_TEXT_SIZE, "%s", id ? id : "");
}

static void become_user(struct caller *caller, const char *id) {
    caller->kind = CALLER_USER;
    copy_id(caller->user_id, id);
}

/* A row of caller_by_*_token: id of the token, what it stands for, ... and whether its use is worth noting. */
struct token_row {
    bool found;
    bool note_use;
    char id[ID_TEXT_SIZE];
    char subject[ID_TEXT_SIZE];
    int access;
};

static bool is_true(const char *value) {
    return value && strcmp(value, "t") == 0;
}

static bool take_project_token(void *context, const struct db_row *row) {
    struct token_row *token = context;
    token->found = true;
    copy_id(token->id, row->columns[0]);
    copy_id(token->subject, row->columns[1]);
    token->access = (int)strtol(row->columns[2], NULL, 10);
    token->note_use = is_true(row->columns[3]);
    return true;
}

static bool take_user_token(void *context, const struct db_row *row) {
    struct token_row *token = context;
    token->found = true;
    copy_id(token->id, row->columns[0]);
    copy_id(token->subject, row->columns[1]);
    token->note_use = is_true(row->columns[2]);
    return true;
}

static void note_use(struct db *db, const struct db_statement *statement, const struct token_row *token) {
    const char *values[] = {token->id};
    char *nothing;
    if (token->note_use && db_query_text(db, statement, values, &nothing) == DB_OK)
        free(nothing);
}

static enum db_outcome by_project_token(struct db *db, const char *secret, int mask, struct caller *caller) {
    char hash[SECRET_HASH_SIZE];
    const char *values[] = {hash};
    struct token_row token = {0};
    secret_hash(secret, hash);
    enum db_outcome outcome = db_query(db, &sql_caller_by_project_token, values, take_project_token, &token);
    if (outcome != DB_OK || !token.found)
        return outcome;
    note_use(db, &sql_project_token_used, &token);
    caller->kind = CALLER_PROJECT;
    caller->access = token.access & mask;
    copy_id(caller->project_id, token.subject);
    return DB_OK;
}

static enum db_outcome by_user_token(struct db *db, const char *secret, struct caller *caller) {
    char hash[SECRET_HASH_SIZE];
    const char *values[] = {hash};
    struct token_row token = {0};
    secret_hash(secret, hash);
    enum db_outcome outcome = db_query(db, &sql_caller_by_user_token, values, take_user_token, &token);
    if (outcome != DB_OK || !token.found)
        return outcome;
    note_use(db, &sql_user_token_used, &token);
    become_user(caller, token.subject);
    return DB_OK;
}

/* Statements that answer a user's id, or nothing. */
static enum db_outcome by_row(struct db *db, const struct db_statement *statement, const char *value,
                              struct caller *caller) {
    const char *values[] = {value};
    char *user_id;
    enum db_outcome outcome = db_query_text(db, statement, values, &user_id);
    if (outcome == DB_OK && user_id)
        become_user(caller, user_id);
    free(user_id);
    return outcome;
}

static enum db_outcome by_session(struct db *db, const char *secret, struct caller *caller) {
    char hash[SECRET_HASH_SIZE];
    secret_hash(secret, hash);
    return by_row(db, &sql_caller_by_session, hash, caller);
}

static enum db_outcome by_jwt(const struct auth_settings *settings, struct db *db, const char *token,
                              struct caller *caller) {
    struct id subject;
    char user_id[ID_TEXT_SIZE];
    if (!jwt_verify(&settings->jwt, token, clock_now() / 1000000, &subject))
        return DB_OK;
    id_format(&subject, user_id);
    return by_row(db, &sql_caller_by_user_id, user_id, caller);
}

/* ---- which credentials decide */

enum credential_kind {
    CREDENTIAL_NONE,
    CREDENTIAL_HEADER,
    CREDENTIAL_BEARER,
    CREDENTIAL_COOKIE,
    CREDENTIAL_URL
};

struct credential {
    enum credential_kind kind;
    const char *secret; /* NULL: none */
};

static const char *bearer_of(const struct http_request *request) {
    const char *header = http_request_header(request, "Authorization");
    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return NULL;
    return header + 7 + strspn(header + 7, " ");
}

static struct credential credential_of(const struct http_request *request) {
    const char *secret = http_request_header(request, "x-api-token");
    if (secret && *secret)
        return (struct credential){CREDENTIAL_HEADER, secret};
    secret = bearer_of(request);
    if (secret)
        return (struct credential){CREDENTIAL_BEARER, secret};
    secret = http_request_cookie(request, CALLER_SESSION_COOKIE);
    if (secret && *secret)
        return (struct credential){CREDENTIAL_COOKIE, secret};
    secret = http_request_url_token(request);
    return (struct credential){secret ? CREDENTIAL_URL : CREDENTIAL_NONE, secret};
}

const char *caller_secret(const struct http_request *request) {
    return credential_of(request).secret;
}

bool caller_token(const struct http_request *request, struct secret_digest *token) {
    static const char *const prefixes[] = {
        [CREDENTIAL_HEADER] = SECRET_PROJECT_TOKEN,
        [CREDENTIAL_BEARER] = SECRET_USER_TOKEN,
        [CREDENTIAL_URL] = SECRET_PROJECT_TOKEN,
    };
    const struct credential credential = credential_of(request);
    const char *prefix = prefixes[credential.kind];
    if (!prefix || !starts_with(credential.secret, prefix))
        return false;
    *token = secret_digest(credential.secret);
    return true;
}

/* ---- whose they are */

static enum db_outcome find_by_credentials(const struct auth_settings *settings, struct db *db,
                                           const struct http_request *request, struct caller *caller) {
    const struct credential credential = credential_of(request);
    const char *secret = credential.secret;
    switch (credential.kind) {
    case CREDENTIAL_HEADER: return by_project_token(db, secret, ACCESS_READ | ACCESS_WRITE, caller);
    /* Trackers log the URL when a call fails: what stands in it may not read. */
    case CREDENTIAL_URL: return by_project_token(db, secret, ACCESS_WRITE, caller);
    case CREDENTIAL_BEARER:
        return starts_with(secret, SECRET_USER_TOKEN) ? by_user_token(db, secret, caller)
                                                      : by_jwt(settings, db, secret, caller);
    case CREDENTIAL_COOKIE:
        caller->by_browser = true;
        return starts_with(secret, SECRET_SESSION) ? by_session(db, secret, caller)
                                                   : by_jwt(settings, db, secret, caller);
    case CREDENTIAL_NONE: break;
    }
    return DB_OK;
}

enum db_outcome caller_find(const struct auth_settings *settings, struct db *db,
                            const struct http_request *request, struct caller *caller) {
    *caller = (struct caller){0};
    if (!settings->none)
        return find_by_credentials(settings, db, request, caller);
    char *user_id;
    enum db_outcome outcome = db_query_text(db, &sql_local_admin, NULL, &user_id);
    if (outcome == DB_OK && user_id) {
        become_user(caller, user_id);
        caller->everywhere = true;
        caller->by_browser = http_request_header(request, "Origin") != NULL; /* nobody else sends it */
    }
    free(user_id);
    return outcome;
}
