#include "api/tokens.h"

#include "api/call.h"
#include "api/sessions.h"
#include "auth/guesses.h"
#include "auth/password.h"
#include "auth/secret.h"
#include "base/json.h"
#include "statements.h"

#include <assert.h>
#include <stdlib.h>

static_assert(sizeof((struct call *)0)->secret >= SECRET_SIZE, "room for a secret");
static_assert(sizeof((struct call *)0)->secret_hash >= SECRET_HASH_SIZE, "room for its hash");
static_assert(sizeof((struct call *)0)->password_hash >= PASSWORD_HASH_SIZE, "room for a password's hash");

static void make_secret(struct call *call, const char *prefix) {
    secret_new(prefix, call->secret);
    secret_hash(call->secret, call->secret_hash);
    arguments_set(&call->arguments, "token_hash", call->secret_hash);
}

bool tokens_prepare_project_token(struct call *call) {
    make_secret(call, SECRET_PROJECT_TOKEN);
    return true;
}

bool tokens_prepare_user_token(struct call *call) {
    make_secret(call, SECRET_USER_TOKEN);
    return true;
}

static char *with_secret(char *text, const char *member, const char *secret) {
    json_t *answer = json_loads(text, 0, NULL);
    free(text);
    if (json_object_set_new(answer, member, json_string(secret)) == 0)
        return json_text(answer);
    json_decref(answer);
    return NULL;
}

char *tokens_finish(struct call *call, char *text) {
    return with_secret(text, "token", call->secret);
}

char *tokens_finish_signup(struct call *call, char *text) {
    return with_secret(text, "api_key", call->secret);
}

bool tokens_prepare_user(struct call *call) {
    if (!call->api->signup_open) {
        http_reply_error(call->request, 403, "Signing up is closed here: an administrator adds users");
        return false;
    }
    if (!password_hash(arguments_get(&call->arguments, "password"), call->password_hash)) {
        http_reply_error(call->request, 503, "Out of memory: try again");
        return false;
    }
    arguments_set(&call->arguments, "password_hash", call->password_hash);
    return true;
}

bool tokens_prepare_signup(struct call *call) {
    make_secret(call, SECRET_USER_TOKEN);
    return tokens_prepare_user(call);
}

void tokens_authenticate(struct call *call) {
    if (!sessions_check_password(call))
        return;
    char *nothing;
    make_secret(call, SECRET_USER_TOKEN);
    enum db_outcome outcome = call_query_text(call, &sql_authenticate, &nothing);
    if (outcome != DB_OK) {
        call_reply_outcome(call, outcome);
        return;
    }
    guesses_credential_was(call->api->guesses, call->request, call->secret, true);
    json_t *answer = json_pack("{s:s,s:s}", "access_token", call->secret, "token_type", "access");
    http_reply_json(call->request, 200, json_text(answer));
}
