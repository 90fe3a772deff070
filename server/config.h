/* What can be configured: one table of options drives the command line, the environment and the help. A flag counts more
 * than the environment, which counts more than the default. --listen is CARBOND_LISTEN, and so on; for
 * --database-url, DATABASE_URL counts as well. */
#pragma once

#include "auth/limits.h"
#include "base/age.h"
#include "http/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { CONFIG_ORIGINS = 16, CONFIG_PROXIES = 32 };

struct config {
    /* the server's */
    const char *database_url;
    const char *database_url_read; /* NULL: there is no replica */
    const char *database_password_file;
    const char *listen;
    const char *metrics_listen; /* or "none" */
    const char *auth;
    bool auth_none_anywhere;
    const char *jwt_key_file;
    bool jwt_require_exp;
    const char *jwt_issuer;
    const char *jwt_audience;
    const char *cors_origins[CONFIG_ORIGINS + 1];
    size_t cors_origin_count;
    const char *frontend_url;
    const char *frontend_origin; /* of it, or "" */
    const char *cookie_samesite;
    const char *tls_cert;
    const char *tls_key;
    int hsts_max_age;
    struct http_network trusted_proxies[CONFIG_PROXIES];
    size_t trusted_proxy_count;
    struct rate rates[LIMITS];
    const char *signup;
    const char *log_level;
    const char *log_format;
    int workers;
    int stream_workers;
    int queue_size;
    int ingest_writers;
    int ingest_queue;
    int connection_limit;
    int connections_per_address;
    int requests_per_connection;
    int body_memory;
    int header_timeout;
    int body_timeout;
    int send_timeout;
    int idle_timeout;
    int minimum_rate;
    int queue_timeout;
    int statement_timeout;
    int drain_delay;
    int grace;
    int stream_timeout;
    int partitions_ahead;
    int audit_keep;
    struct age retention; /* of carbond retention, too: --keep */
    bool prepared_statements;
    bool migrate;
    const char *first_admin;
    int database_wait;
    int metrics_projects;
    /* of single commands */
    const char *id;
    const char *email;
    const char *name;
    const char *description;
    const char *admin;
    const char *organization;
    const char *project;
    const char *access;
    bool password_stdin;
    bool token_stdin;
    const char *format;
    bool tables;
    bool status;
    bool dry_run;
    int lock_wait;
    bool citus;
    bool repair;
    bool help;
    char *owned[CONFIG_ORIGINS + CONFIG_PROXIES + 8]; /* copies that the pointers above point into */
    size_t owned_count;
};

/* Reads the options of one command (a bit of enum config_command) from argv[1] on and from the environment. NULL, or a
 * sentence that says what is wrong (valid until the next call). Call config_free in any case. */
const char *config_read(struct config *config, unsigned command, int argc, char **argv);
void config_free(struct config *config);

/* Tells each variable of the environment that is named like an option, CARBOND_..., and is none of any command's: perhaps one
 * that is misspelt, and would be missed in silence. Not what Kubernetes sets of services. Never its value, which may be a
 * secret. */
void config_unknown_variables(void (*tell)(const char *name));

/* Prints the options of one command. */
void config_help(unsigned command, FILE *out);

enum config_command {
    CONFIG_SERVE = 1 << 0,
    CONFIG_MIGRATE = 1 << 1,
    CONFIG_OPENAPI = 1 << 2,
    CONFIG_USER_ADD = 1 << 3,
    CONFIG_USER_LIST = 1 << 4,
    CONFIG_USER_PASSWD = 1 << 5,
    CONFIG_ORGANIZATION_ADD = 1 << 6,
    CONFIG_PROJECT_ADD = 1 << 7,
    CONFIG_EXPERIMENT_ADD = 1 << 8,
    CONFIG_TOKEN_ADD = 1 << 9,
    CONFIG_TOKEN_REVOKE = 1 << 10,
    CONFIG_VERSION = 1 << 11,
    CONFIG_VERIFY_SUMS = 1 << 12,
    CONFIG_ORGANIZATION_LIST = 1 << 13,
    CONFIG_PROJECT_LIST = 1 << 14,
    CONFIG_EXPERIMENT_LIST = 1 << 15,
    CONFIG_TOKEN_LIST = 1 << 16,
    CONFIG_AUDIT_LIST = 1 << 17,
    CONFIG_RETENTION = 1 << 18,
    CONFIG_HEALTH = 1 << 19,
};
