#include "db/session.h"

#include "db/connection.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

struct setting {
    const char *name;
    const char *value; /* without blanks; NULL: the statement timeout */
    bool key_lookups;  /* only for statements that look rows up by their keys */
};

/* Compiling a statement (JIT) takes longer than any of ours should run. A statement whose client is gone ends, too.
 *
 * For the lookups: one plan whatever the values, since planning takes longer than a small batch; and one that goes by
 * indexes whatever the statistics, since it may be made while the tables are nearly empty, and is kept. */
static const struct setting table[] = {
    {"timezone", "UTC", false},
    {"jit", "off", false},
    {"statement_timeout", NULL, false},
    {"client_connection_check_interval", "1s", false},
    {"plan_cache_mode", "force_generic_plan", true},
    {"enable_seqscan", "off", true},
    {"enable_hashjoin", "off", true},
    {"enable_mergejoin", "off", true},
};

typedef void setting_writer(struct buffer *out, const char *name, const char *value);

static void write_all(const struct db_settings *settings, setting_writer *write, struct buffer *out) {
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%ds", settings->statement_timeout);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (settings->key_lookups || !table[i].key_lookups)
            write(out, table[i].name, table[i].value ? table[i].value : timeout);
}

static void write_option(struct buffer *out, const char *name, const char *value) {
    buffer_text(out, " -c ");
    buffer_text(out, name);
    buffer_char(out, '=');
    buffer_text(out, value);
}

static void write_call(struct buffer *out, const char *name, const char *value) {
    buffer_text(out, out->size ? ", set_config('" : "select set_config('");
    buffer_text(out, name);
    buffer_text(out, "', '");
    buffer_text(out, value);
    buffer_text(out, "', true)");
}

static void write_own_options(const char *url, struct buffer *out) {
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    for (PQconninfoOption *option = options; option && option->keyword; option++)
        if (strcmp(option->keyword, "options") == 0 && option->val)
            buffer_text(out, option->val);
    out->failed |= !options; /* out of memory: the URL was read before */
    PQconninfoFree(options);
}

/* What waits for a lock must then see what its holder has done. */
void session_write_options(const struct db_settings *settings, struct buffer *out) {
    write_own_options(settings->url, out);
    write_all(settings, write_option, out);
    write_option(out, "default_transaction_isolation", "read\\ committed");
}

void session_write_check(const struct db_settings *settings, char out[SESSION_CHECK_SIZE]) {
    snprintf(out, SESSION_CHECK_SIZE, "select current_setting('statement_timeout')::interval = '%d s'",
             settings->statement_timeout);
}

void session_write_local(const struct db_settings *settings, struct buffer *out) {
    write_all(settings, write_call, out);
}
