#include "api/sessions.h"

#include "api/call.h"
#include "auth/guesses.h"
#include "auth/password.h"
#include "auth/secret.h"
#include "statements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As long as session_create.sql keeps it. */
#define SESSION_SECONDS "604800"

#define PAGE_STYLE                                                                                           \
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"                                        \
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>carbond</title>"         \
    "<style>"                                                                                                \
    "body{font:16px/1.5 system-ui,sans-serif;max-width:22rem;margin:12vh auto;padding:0 1rem;color:#1d2b24}" \
    "label,input,button{display:block;width:100%;box-sizing:border-box;font:inherit}"                        \
    "input{margin:.2rem 0 1rem;padding:.5rem;border:1px solid #8aa397;border-radius:.3rem}"                  \
    "button{padding:.6rem;border:0;border-radius:.3rem;background:#1f6f4a;color:#fff}"                       \
    ".wrong{color:#a3261d}</style></head><body><h1>carbond</h1>"

#define SIGN_IN_FORM                                                                                         \
    "<form method=\"post\" action=\"login\"><label for=\"email\">E-mail</label>"                             \
    "<input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"username\" required autofocus>"        \
    "<label for=\"password\">Password</label>"                                                               \
    "<input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required>" \
    "<button>Sign in</button></form></body></html>"

static const char page_sign_in[] = PAGE_STYLE SIGN_IN_FORM;
static const char page_wrong[] =
    PAGE_STYLE "<p class=\"wrong\">The e-mail address or the password is wrong.</p>" SIGN_IN_FORM;
static const char page_too_many[] =
    PAGE_STYLE "<p class=\"wrong\">Too many tries: please wait a while.</p>" SIGN_IN_FORM;
static const char page_signed_in[] = PAGE_STYLE
    "<p>You are signed in.</p><form method=\"post\" action=\"logout\"><button>Sign out</button></form>"
    "</body></html>";

/* The style above, by its hash, and nothing else. Browsers hold a form to form-action even where its answer redirects to,
 * which is the front end. */
#define PAGE_POLICY                                                                                          \
    "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; "                                          \
    "style-src 'sha256-f9Fp9hwT3GaiWIFf7E7vrYmIZLLdQcB0U2OYHMeAzz8='; "                                      \
    "form-action 'self'"

static void reply_page(const struct api *api, struct http_request *request, int status, const char *page) {
    char policy[1024];
    const char *front_end = api->frontend_origin;
    snprintf(policy, sizeof policy, PAGE_POLICY "%s%s", *front_end ? " " : "", front_end);
    http_reply_static(request, status, HTTP_HTML, page, strlen(page));
    http_reply_header(request, "Content-Security-Policy", policy);
}

static void set_cookie(struct call *call, const char *session, const char *seconds) {
    char cookie[256];
    snprintf(cookie, sizeof cookie, "%s=%s; Path=/; HttpOnly; SameSite=%s; Max-Age=%s%s",
             CALLER_SESSION_COOKIE, session, call->api->cookie_samesite, seconds,
             http_request_is_secure(call->request) ? "; Secure" : "");
    http_reply_header(call->request, "Set-Cookie", cookie);
}

static void redirect(struct call *call, int status, const char *base, const char *path) {
    char location[1024];
    snprintf(location, sizeof location, "%s%s", base, path);
    http_reply_empty(call->request, status);
    http_reply_header(call->request, "Location", location);
}

static void redirect_home(struct call *call, int status) {
    if (call->api->frontend_url)
        redirect(call, status, call->api->frontend_url, "/home");
    else
        redirect(call, status, "/auth/login", "");
}

/* ---- passwords */

struct stored_password {
    char *account; /* the address in the form that is compared; NULL: out of memory */
    char user_id[ID_TEXT_SIZE];
    char hash[PASSWORD_HASH_SIZE];
};

static bool take_password(void *context, const struct db_row *row) {
    struct stored_password *stored = context;
    stored->account = strdup(row->columns[0]);
    snprintf(stored->user_id, sizeof stored->user_id, "%s", row->columns[1] ? row->columns[1] : "");
    snprintf(stored->hash, sizeof stored->hash, "%s", row->columns[2] ? row->columns[2] : "");
    return true;
}

static void become(struct call *call, const char *user_id) {
    struct caller user = {.kind = CALLER_USER};
    snprintf(user.user_id, sizeof user.user_id, "%s", user_id);
    call->caller = user;
    caller_format(&user, call->caller_text);
    arguments_set_copy(&call->arguments, "user_id", user_id);
}

/* The deed is recorded before it is answered, as all others are. */
static void refuse_password(struct call *call, const struct stored_password *stored) {
    char *nothing;
    if (stored->user_id[0])
        arguments_set_copy(&call->arguments, "user_id", stored->user_id);
    enum db_outcome outcome = call_query_text(call, &sql_sign_in_failed, &nothing);
    if (outcome != DB_OK)
        call_reply_outcome(call, outcome);
    else if (http_request_body_kind(call->request) == HTTP_BODY_FORM)
        reply_page(call->api, call->request, 401, page_wrong);
    else
        http_reply_error(call->request, 401, "The e-mail address or the password is wrong");
}

void sessions_too_many(const struct api *api, struct http_request *request) {
    if (http_request_body_kind(request) == HTTP_BODY_FORM)
        reply_page(api, request, 429, page_too_many);
}

static bool compare(struct call *call, const struct stored_password *stored) {
    struct guesses *guesses = call->api->guesses;
    struct password_guess guess;
    if (!guesses_password(guesses, call->request, stored->account, &guess)) {
        sessions_too_many(call->api, call->request);
        return false;
    }
    const char *hash = stored->hash[0] ? stored->hash : NULL;
    switch (password_verify(hash, arguments_get(&call->arguments, "password"))) {
    case PASSWORD_RIGHT:
        guesses_password_was_right(guesses, &guess);
        become(call, stored->user_id);
        return true;
    case PASSWORD_WRONG: refuse_password(call, stored); return false;
    case PASSWORD_FAILED: break;
    }
    guesses_password_was_not_compared(guesses, &guess);
    http_reply_error(call->request, 503, "Out of memory: try again");
    return false;
}

bool sessions_check_password(struct call *call) {
    struct stored_password stored = {0};
    enum db_outcome outcome = call_query(call, &sql_user_password, take_password, &stored);
    if (outcome == DB_OK && !stored.account)
        outcome = DB_FAILED;
    bool right = outcome == DB_OK && compare(call, &stored);
    if (outcome != DB_OK)
        call_reply_outcome(call, outcome);
    free(stored.account);
    return right;
}

/* ---- pages */

void sessions_login_page(struct call *call) {
    if (call->caller.kind != CALLER_USER)
        reply_page(call->api, call->request, 200, page_sign_in);
    else if (call->api->frontend_url)
        redirect_home(call, 302);
    else
        reply_page(call->api, call->request, 200, page_signed_in);
}

static bool store_session(struct call *call) {
    char *nothing;
    secret_new(SECRET_SESSION, call->secret);
    secret_hash(call->secret, call->secret_hash);
    arguments_set(&call->arguments, "token_hash", call->secret_hash);
    enum db_outcome outcome = call_query_text(call, &sql_session_create, &nothing);
    if (outcome != DB_OK) {
        call_reply_outcome(call, outcome);
        return false;
    }
    guesses_credential_was(call->api->guesses, call->request, call->secret, true);
    return true;
}

void sessions_login(struct call *call) {
    /* Another site's page could sign its visitor in as somebody else, and so collect what they do. */
    if (!http_request_origin_trusted(call->request)) {
        http_reply_error(call->request, 403, "The Origin must be this server's or a configured one");
        return;
    }
    if (!sessions_check_password(call) || !store_session(call))
        return;
    if (http_request_body_kind(call->request) == HTTP_BODY_FORM)
        redirect_home(call, 303);
    else
        http_reply_json(call->request, 200, strdup("{\"status\": \"ok\"}"));
    set_cookie(call, call->secret, SESSION_SECONDS);
}

static bool is_browser(const struct call *call) {
    const char *accept = http_request_header(call->request, "Accept");
    return accept && strstr(accept, "text/html");
}

void sessions_logout(struct call *call) {
    const char *cookie = http_request_cookie(call->request, CALLER_SESSION_COOKIE);
    char *nothing;
    enum db_outcome outcome = DB_OK;
    if (cookie) {
        secret_hash(cookie, call->secret_hash);
        arguments_set(&call->arguments, "token_hash", call->secret_hash);
        outcome = call_query_text(call, &sql_session_end, &nothing);
    }
    if (outcome != DB_OK) {
        call_reply_outcome(call, outcome);
        return;
    }
    if (!is_browser(call))
        http_reply_json(call->request, 200, strdup("{\"status\": \"ok\"}"));
    else if (call->api->frontend_url)
        redirect(call, 303, call->api->frontend_url, "");
    else
        redirect(call, 303, "/auth/login", "");
    set_cookie(call, "", "0");
}

void sessions_check(struct call *call) {
    char *text = NULL;
    if (call->caller.kind == CALLER_USER) {
        arguments_set(&call->arguments, "user_id", call->caller.user_id);
        enum db_outcome outcome = call_query_text(call, &sql_user_me, &text);
        if (outcome != DB_OK) {
            call_reply_outcome(call, outcome);
            return;
        }
    }
    http_reply_json(call->request, 200, text ? text : strdup("{\"user\": null}"));
}
