/* Signing in and out, for people with browsers. */
#pragma once

#include <stdbool.h>

struct api;
struct call;
struct http_request;

/* Compares the body's e-mail address and password. True: the arguments `user_id` and `caller` are that user's. False: an
 * answer was left (401, 429). An unknown address takes as long as a wrong password. */
bool sessions_check_password(struct call *call);

/* Makes a page for browsers of the 429 that was left. */
void sessions_too_many(const struct api *api, struct http_request *request);

void sessions_login_page(struct call *call); /* GET /auth/login */
void sessions_login(struct call *call);      /* POST /auth/login */
void sessions_logout(struct call *call);     /* GET or POST /auth/logout */
void sessions_check(struct call *call);      /* GET /auth/check */
