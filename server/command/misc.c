/* The commands that need no more than a few lines: openapi, version. */
#include "api/specification.h"
#include "api/tables.h"
#include "command/command.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static int print_tables(void) {
    json_t *tables = tables_json();
    int status = tables && json_dumpf(tables, stdout, JSON_INDENT(1)) == 0 ? EXIT_DONE : EXIT_FAILED;
    json_decref(tables);
    printf("\n");
    return status;
}

int command_openapi(const struct config *config) {
    if (config->tables)
        return print_tables();
    bool yaml = strcmp(config->format, "yaml") == 0;
    const unsigned char *text = yaml ? specification_yaml : specification_json;
    size_t size = yaml ? specification_yaml_size : specification_json_size;
    return fwrite(text, 1, size, stdout) == size ? EXIT_DONE : EXIT_FAILED;
}

int command_version(const struct config *config) {
    (void)config;
    printf("carbond %s\n", CARBOND_VERSION);
    return EXIT_DONE;
}
