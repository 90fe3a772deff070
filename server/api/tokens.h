/* Secrets that are made here and told once: project tokens, user tokens, and the passwords of new users. The database
 * gets hashes only, so the statement answers without the secret and `finish` puts it in. */
#pragma once

#include <stdbool.h>

struct call;

bool tokens_prepare_project_token(struct call *call);
bool tokens_prepare_user_token(struct call *call);
char *tokens_finish(struct call *call, char *text);

bool tokens_prepare_user(struct call *call);
bool tokens_prepare_signup(struct call *call);
char *tokens_finish_signup(struct call *call, char *text);

/* POST /authenticate: a user token of a day for an e-mail address and its password. */
void tokens_authenticate(struct call *call);
