/* E-mail addresses, as far as they can be judged without sending anything. */
#pragma once

#include <stdbool.h>

/* True if one @ is in the text, with something on either side of it, and no blank or control character. Whether mail
 * arrives there only mail can tell. */
bool email_is_plausible(const char *text);
