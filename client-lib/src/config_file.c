#include "config_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *trim(char *text) {
    while (isspace((unsigned char)*text))
        text++;
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text;
}

static void lower(char *text) {
    for (; *text != '\0'; text++)
        *text = (char)tolower((unsigned char)*text);
}

/* Splits at the first `=` or `:`. NULL if there is none. */
static char *split(char *line) {
    char *sign = strpbrk(line, "=:");
    if (!sign)
        return NULL;
    *sign = '\0';
    return sign + 1;
}

bool config_file_read(const char *path, void (*visit)(void *context, const char *key, const char *value),
                      void *context) {
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    char *line = NULL;
    size_t size = 0;
    bool inside = false;
    errno = 0;
    while (getline(&line, &size, file) >= 0) {
        char *text = trim(line), *value;
        if (*text == '\0' || *text == '#' || *text == ';')
            continue;
        if (*text == '[') {
            inside = strcmp(text, "[codecarbon]") == 0;
            continue;
        }
        if (!inside || !(value = split(text)))
            continue;
        char *key = trim(text);
        lower(key);
        visit(context, key, trim(value));
    }
    bool good = !ferror(file) && errno != ENOMEM;
    free(line);
    fclose(file);
    return good;
}
