#include "api/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct argument *find(const struct arguments *arguments, const char *name) {
    for (size_t i = 0; i < arguments->count; i++)
        if (strcmp(arguments->items[i].name, name) == 0)
            return (struct argument *)&arguments->items[i];
    return NULL;
}

struct argument *arguments_set(struct arguments *arguments, const char *name, const char *value) {
    struct argument *item = find(arguments, name);
    if (!item) {
        if (arguments->count == ARGUMENTS)
            abort(); /* The tables hold fewer names than that, whatever the request. */
        item = &arguments->items[arguments->count++];
    }
    item->name = name;
    item->value = value;
    return item;
}

void arguments_set_copy(struct arguments *arguments, const char *name, const char *value) {
    struct argument *item = arguments_set(arguments, name, NULL);
    snprintf(item->text, sizeof item->text, "%s", value);
    item->value = item->text;
}

const char *arguments_get(const struct arguments *arguments, const char *name) {
    const struct argument *item = find(arguments, name);
    return item ? item->value : NULL;
}

void arguments_bind(const struct arguments *arguments, const struct db_statement *statement,
                    const char *values[DB_PARAMETERS]) {
    for (int i = 0; i < statement->parameter_count; i++)
        values[i] = arguments_get(arguments, statement->parameters[i]);
}
