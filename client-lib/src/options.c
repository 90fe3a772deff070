#include "options.h"

#include "config_file.h"
#include "id.h"
#include "versioned.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum kind { TEXT, WORD, INT32, INT64 };

static const char *const SERVERS[] = {"auto", "carbond", "codecarbon1", "codecarbon2", NULL};
static const char *const FSYNCS[] = {"every", "interval", "none", NULL};
static const char *const FULLS[] = {"drop-oldest", "refuse", NULL};
static const char *const LEVELS[] = {"error", "warning", "info", "debug", NULL};

/* One table: where an option is, what it is called elsewhere, and what it may be. */
struct setting {
    const char *name;
    size_t offset;
    enum kind kind;
    const char *environment; /* or NULL */
    const char *config;      /* the key in .codecarbon.config, or NULL */
    const char *const *words;
    int64_t fallback, least, most; /* the first word is the least */
};

/* clang-format off */
#define AT(member) #member, offsetof(carbond_options, member)
static const struct setting SETTINGS[] = {
    {AT(url),             TEXT,  "CARBOND_URL",             "api_endpoint",  NULL, 0, 0, 0},
    {AT(token),           TEXT,  "CARBOND_TOKEN",           "api_key",       NULL, 0, 0, 0},
    {AT(experiment_id),   TEXT,  "CARBOND_EXPERIMENT_ID",   "experiment_id", NULL, 0, 0, 0},
    {AT(spool_dir),       TEXT,  "CARBOND_SPOOL_DIR",       NULL,            NULL, 0, 0, 0},
    {AT(config_file),     TEXT,  NULL,                      NULL,            NULL, 0, 0, 0},
    {AT(ca_file),         TEXT,  "CARBOND_CA_FILE",         NULL,            NULL, 0, 0, 0},
    {AT(server),          WORD,  "CARBOND_SERVER",          NULL,            SERVERS, 0, 0, 3},
    {AT(fsync),           WORD,  "CARBOND_FSYNC",           NULL,            FSYNCS, CARBOND_FSYNC_EVERY, 1, 3},
    {AT(when_full),       WORD,  "CARBOND_WHEN_FULL",       NULL,            FULLS, CARBOND_DROP_OLDEST, 1, 2},
    {AT(log_level),       WORD,  "CARBOND_LOG_LEVEL",       NULL,            LEVELS, CARBOND_LOG_INFO, 1, 4},
    {AT(adopt_all),       INT32, NULL,                      NULL,            NULL, 0, 0, 1},
    {AT(max_bytes),       INT64, "CARBOND_SPOOL_MAX_BYTES", NULL,            NULL, INT64_C(512) << 20, 1 << 16, INT64_C(1) << 50},
    {AT(max_age),         INT64, "CARBOND_SPOOL_MAX_AGE",   NULL,            NULL, 0, 0, INT64_C(1) << 40},
    {AT(flush_interval),  INT64, NULL,                      NULL,            NULL, 500, 1, 3600000},
    {AT(connect_timeout), INT64, NULL,                      NULL,            NULL, 10000, 1, 3600000},
    {AT(stall_timeout),   INT64, NULL,                      NULL,            NULL, 30000, 1, 3600000},
    {AT(retry_min),       INT64, NULL,                      NULL,            NULL, 1000, 1, 3600000},
    {AT(retry_max),       INT64, NULL,                      NULL,            NULL, 300000, 1, 86400000},
    {AT(ring_capacity),   INT32, NULL,                      NULL,            NULL, 8192, 2, 65536},
    {AT(batch_size),      INT32, NULL,                      NULL,            NULL, 1000, 1, 10000},
};
/* clang-format on */

enum { SETTINGS_COUNT = sizeof SETTINGS / sizeof *SETTINGS, TOKEN_MOST = 4096, URL_MOST = 2048 };

struct resolving {
    carbond_options *options;
    struct log *log;
    int result;
};

void carbond_options_init(carbond_options *options, size_t size) {
    memset(options, 0, size);
    options->size = size;
}

static void *place_of(carbond_options *options, const struct setting *setting) {
    return (char *)options + setting->offset;
}

static int64_t get_number(carbond_options *options, const struct setting *setting) {
    const void *place = place_of(options, setting);
    return setting->kind == INT64 ? *(const int64_t *)place : *(const int32_t *)place;
}

static void set_number(carbond_options *options, const struct setting *setting, int64_t number) {
    void *place = place_of(options, setting);
    if (setting->kind == INT64)
        *(int64_t *)place = number;
    else
        *(int32_t *)place = (int32_t)number;
}

static bool is_set(carbond_options *options, const struct setting *setting) {
    if (setting->kind == TEXT)
        return *(char *const *)place_of(options, setting) != NULL;
    return get_number(options, setting) != 0;
}

/* -- one value ----------------------------------------------------------------------------------------------------------- */

static int64_t read_word(const struct setting *setting, const char *text) {
    for (int64_t i = 0; setting->words[i]; i++)
        if (strcasecmp(setting->words[i], text) == 0)
            return setting->least + i;
    return INT64_MIN;
}

static int64_t read_number(const char *text) {
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' ? number : INT64_MIN;
}

static void complain(struct resolving *resolving, const char *name, const char *what) {
    log_write(resolving->log, CARBOND_LOG_ERROR, "the option %s %s", name, what);
    resolving->result = CARBOND_CONFIG;
}

/* Tells what it may be. */
static void complain_of_value(struct resolving *resolving, const struct setting *setting) {
    char name[64], what[128];
    int length = snprintf(what, sizeof what, "takes");
    if (setting->kind == WORD)
        for (size_t i = 0; setting->words[i]; i++)
            length += snprintf(what + length, sizeof what - (size_t)length, "%s %s", i ? "," : "",
                               setting->words[i]);
    else
        snprintf(what, sizeof what, "takes a whole number from %" PRId64 " to %" PRId64, setting->least,
                 setting->most);
    snprintf(name, sizeof name, setting->environment ? "%s [%s]" : "%s", setting->name, setting->environment);
    complain(resolving, name, what);
}

static void set_text(struct resolving *resolving, const struct setting *setting, const char *text) {
    char *copy = strdup(text);
    if (copy)
        *(char **)place_of(resolving->options, setting) = copy;
    else
        resolving->result = CARBOND_NO_MEMORY;
}

/* What comes as text, from the environment or from a file. An empty one is none. */
static void set_from_text(struct resolving *resolving, const struct setting *setting, const char *text) {
    if (*text == '\0')
        return;
    if (setting->kind == TEXT) {
        set_text(resolving, setting, text);
        return;
    }
    int64_t number = setting->kind == WORD ? read_word(setting, text) : read_number(text);
    if (number == INT64_MIN)
        complain_of_value(resolving, setting);
    else
        set_number(resolving->options, setting, number);
}

/* -- where values come from ---------------------------------------------------------------------------------------------- */

bool options_read(const carbond_options *from, carbond_options *to) {
    carbond_options_init(to, sizeof *to);
    bool good =
        !from || read_versioned(to, sizeof *to, from, from->size, FIRST_SIZE(carbond_options, log_user));
    to->size = sizeof *to;
    return good;
}

/* The texts of the program are copied; those that it left out stay NULL. */
static void copy_given(struct resolving *resolving, const carbond_options *given) {
    carbond_options *options = resolving->options;
    *options = *given;
    for (size_t i = 0; i < SETTINGS_COUNT; i++)
        if (SETTINGS[i].kind == TEXT)
            *(char **)place_of(options, &SETTINGS[i]) = NULL;
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const char *text =
            SETTINGS[i].kind == TEXT ? *(char *const *)((const char *)given + SETTINGS[i].offset) : NULL;
        if (text)
            set_text(resolving, &SETTINGS[i], text);
    }
}

static void take_environment(struct resolving *resolving) {
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &SETTINGS[i];
        const char *text = setting->environment ? getenv(setting->environment) : NULL;
        if (text && !is_set(resolving->options, setting))
            set_from_text(resolving, setting, text);
    }
}

/* Files are read in the order of their weight: what is set already stays. */
static void take_config(void *context, const char *key, const char *value) {
    struct resolving *resolving = context;
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &SETTINGS[i];
        if (setting->config && strcmp(setting->config, key) == 0 && !is_set(resolving->options, setting))
            set_from_text(resolving, setting, value);
    }
}

/* There need be none; one that is there and can't be read is a surprise. */
static void take_config_file(struct resolving *resolving, const char *path) {
    if (!config_file_read(path, take_config, resolving) && errno != ENOENT && errno != ENOTDIR)
        log_write(resolving->log, CARBOND_LOG_WARNING, "%s can't be read: %s", path, strerror(errno));
}

static void take_config_files(struct resolving *resolving) {
    const char *told = resolving->options->config_file, *home = getenv("HOME");
    if (told) {
        if (!config_file_read(told, take_config, resolving))
            complain(resolving, "config_file", strerror(errno));
        return;
    }
    char path[PATH_MAX];
    take_config_file(resolving, ".codecarbon.config");
    if (home && snprintf(path, sizeof path, "%s/.codecarbon.config", home) < (int)sizeof path)
        take_config_file(resolving, path);
}

static void take_default_spool(struct resolving *resolving) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int length;
    if (resolving->options->spool_dir)
        return;
    if (state && *state == '/')
        length = asprintf(&path, "%s/carbond", state);
    else if (home && *home == '/')
        length = asprintf(&path, "%s/.local/state/carbond", home);
    else {
        complain(resolving, "spool_dir", "is missing, and there is no HOME for a default");
        return;
    }
    if (length < 0)
        resolving->result = CARBOND_NO_MEMORY;
    else
        resolving->options->spool_dir = path;
}

/* The program may change its working directory later. */
static void make_absolute(struct resolving *resolving) {
    char here[PATH_MAX], *path = NULL;
    const char *given = resolving->options->spool_dir;
    if (!given || *given == '/')
        return;
    if (!getcwd(here, sizeof here)) {
        complain(resolving, "spool_dir", "is relative, and there is no working directory");
        return;
    }
    if (asprintf(&path, "%s/%s", here, given) < 0) {
        resolving->result = CARBOND_NO_MEMORY;
        return;
    }
    free((char *)given);
    resolving->options->spool_dir = path;
}

static void take_defaults(struct resolving *resolving) {
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &SETTINGS[i];
        if (setting->kind != TEXT && !is_set(resolving->options, setting))
            set_number(resolving->options, setting, setting->fallback);
    }
    take_default_spool(resolving);
    make_absolute(resolving);
}

/* -- whether they hold --------------------------------------------------------------------------------------------------- */

static bool is_printable(const char *text, size_t most) {
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return length > 0 && length <= most;
}

bool options_is_token(const char *token) {
    return is_printable(token, TOKEN_MOST);
}

/* As libcurl will read it. */
static bool is_readable_url(const char *url) {
    CURLU *parts = curl_url();
    bool readable = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK;
    curl_url_cleanup(parts);
    return readable;
}

static bool is_url(const char *url) {
    const char *rest = strncasecmp(url, "http://", 7) == 0    ? url + 7
                       : strncasecmp(url, "https://", 8) == 0 ? url + 8
                                                              : "";
    return is_printable(url, URL_MOST) && *rest != '\0' && *rest != '/' && !strpbrk(rest, "?#") &&
           is_readable_url(url);
}

static void cut_slashes(char *url) {
    size_t length = strlen(url);
    while (length > 0 && url[length - 1] == '/')
        url[--length] = '\0';
}

static void check_texts(struct resolving *resolving) {
    const carbond_options *options = resolving->options;
    struct id id;
    if (!options->url)
        complain(resolving, "url", "is missing: set CARBOND_URL, or api_endpoint in .codecarbon.config");
    else if (!is_url(options->url))
        complain(resolving, "url", "is not of the form http(s)://host[:port][/path]");
    else
        cut_slashes((char *)options->url);
    if (options->token && !options_is_token(options->token))
        complain(resolving, "token", "has characters that no token has");
    if (options->experiment_id && !id_parse(options->experiment_id, &id))
        complain(resolving, "experiment_id", "is no UUID");
}

static void check_numbers(struct resolving *resolving) {
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &SETTINGS[i];
        if (setting->kind == TEXT)
            continue;
        int64_t number = get_number(resolving->options, setting);
        if (number < setting->least || number > setting->most)
            complain_of_value(resolving, setting);
    }
    if (resolving->options->retry_max < resolving->options->retry_min)
        resolving->options->retry_max = resolving->options->retry_min;
}

void options_destroy(carbond_options *options) {
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        if (SETTINGS[i].kind != TEXT)
            continue;
        char **text = place_of(options, &SETTINGS[i]);
        free(*text);
        *text = NULL;
    }
}

int options_resolve(const carbond_options *given, struct log *log, carbond_options *options) {
    struct resolving resolving = {options, log, CARBOND_OK};
    copy_given(&resolving, given);
    take_environment(&resolving);
    take_config_files(&resolving);
    take_defaults(&resolving);
    if (resolving.result == CARBOND_OK)
        check_texts(&resolving);
    if (resolving.result == CARBOND_OK)
        check_numbers(&resolving);
    if (resolving.result != CARBOND_OK)
        options_destroy(options);
    return resolving.result;
}
