#include "base/email.h"

#include <string.h>

static bool has_blank(const char *text) {
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return true;
    return false;
}

bool email_is_plausible(const char *text) {
    const char *at = strchr(text, '@');
    return at && at != text && at[1] && !strchr(at + 1, '@') && !has_blank(text);
}
