#include "base/age.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    long least, most;
} units[] = {{"days", 31, 36500}, {"weeks", 5, 5200}, {"months", 1, 1200}, {"years", 1, 100}};

/* With or without the s at its end. */
static bool is_unit(const char *text, const char *name) {
    size_t length = strlen(name);
    return strcmp(text, name) == 0 || (strlen(text) == length - 1 && strncmp(text, name, length - 1) == 0);
}

bool age_parse(const char *text, struct age *age) {
    size_t digits = strspn(text, "0123456789");
    long count = digits && digits <= 5 ? strtol(text, NULL, 10) : 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!is_unit(text + digits, units[i].name) || count < units[i].least || count > units[i].most)
            continue;
        *age = (struct age){(int)count, units[i].name};
        return true;
    }
    return false;
}

void age_format(const struct age *age, char text[AGE_TEXT_SIZE]) {
    snprintf(text, AGE_TEXT_SIZE, "%d %s", age->count, age->unit);
}
