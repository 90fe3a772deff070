/* Who is asking: what a request's credentials prove. */
#pragma once

#include "auth/jwt.h"
#include "auth/secret.h"
#include "base/id.h"
#include "db/connection.h"
#include "http/request.h"

#include <stdbool.h>

/* What a project token may do, as stored. */
enum { ACCESS_READ = 1, ACCESS_WRITE = 2 };

enum caller_kind {
    CALLER_NOBODY, /* no credentials, or some that nobody holds */
    CALLER_USER,
    CALLER_PROJECT, /* a project token */
};

struct caller {
    enum caller_kind kind;
    int access;      /* of a project token */
    bool everywhere; /* authentication is switched off: a member and admin of everything */
    bool by_browser; /* which may ask without its user's will, since it sends the credentials by itself */
    char user_id[ID_TEXT_SIZE];
    char project_id[ID_TEXT_SIZE];
};

struct auth_settings {
    bool none;    /* everyone is the local admin ... */
    bool at_home; /* ... who is on this host: then there is `none`, but not for anywhere */
    struct jwt_policy jwt;
};

/* The credentials of a request, as they were sent, whoever holds them. The first that is present decides: x-api-token,
 * Authorization: Bearer, the cookie user_session, the URL's token. NULL: none. */
const char *caller_secret(const struct http_request *request);

/* Looks the credentials up. Blocks on the database; notes the use of a token, at most every five minutes. */
enum db_outcome caller_find(const struct auth_settings *settings, struct db *db,
                            const struct http_request *request, struct caller *caller);

/* The token that decides, if it is one of ours and may be looked up in a token_cache; false for all other credentials,
 * and for none. Does not block. */
bool caller_token(const struct http_request *request, struct secret_digest *token);

#define CALLER_SESSION_COOKIE "user_session"

enum { CALLER_TEXT_SIZE = 2 * ID_TEXT_SIZE + 8 };

/* As a value of the database's type `caller`. */
void caller_format(const struct caller *caller, char text[CALLER_TEXT_SIZE]);
