#include "config.h"

#include "ingest/ingest.h"

#include <ctype.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind {
    TEXT,
    ADDRESS, /* HOST:PORT, or one of `choices` */
    CHOICE,  /* one of `choices`, separated by | */
    BOOLEAN, /* true or false */
    NUMBER,  /* an integer from `minimum` to `maximum` */
    LIST,    /* repeatable, or separated by commas; each goes to `add` */
    RATE,    /* base/rate.h */
    AGE,     /* base/age.h, or one of `choices` */
    FLAG,    /* without a value */
};

struct option_row {
    const char *name;
    unsigned commands;
    enum kind kind;
    size_t offset;
    bool required;
    bool environment; /* may come from CARBOND_<NAME> */
    bool secret;      /* of TEXT: it does not stay among the arguments */
    const char *fallback;
    const char *choices;
    int minimum, maximum;
    const char *(*add)(struct config *config, const char *element);
    const char *value; /* in the help */
    const char *help;
};

#define AT(member) offsetof(struct config, member)
#define LISTS                                                                                                \
    (CONFIG_ORGANIZATION_LIST | CONFIG_PROJECT_LIST | CONFIG_EXPERIMENT_LIST | CONFIG_TOKEN_LIST |           \
     CONFIG_AUDIT_LIST)
#define DATABASE                                                                                             \
    (CONFIG_SERVE | CONFIG_MIGRATE | CONFIG_USER_ADD | CONFIG_USER_LIST | CONFIG_USER_PASSWD |               \
     CONFIG_ORGANIZATION_ADD | CONFIG_PROJECT_ADD | CONFIG_EXPERIMENT_ADD | CONFIG_TOKEN_ADD |               \
     CONFIG_TOKEN_REVOKE | CONFIG_VERIFY_SUMS | CONFIG_RETENTION | LISTS)
#define NAMED      (CONFIG_USER_ADD | CONFIG_ORGANIZATION_ADD | CONFIG_PROJECT_ADD | CONFIG_EXPERIMENT_ADD)
#define IN_TREE    (CONFIG_ORGANIZATION_ADD | CONFIG_PROJECT_ADD | CONFIG_EXPERIMENT_ADD)
#define IN_PROJECT (CONFIG_EXPERIMENT_ADD | CONFIG_EXPERIMENT_LIST | CONFIG_TOKEN_ADD | CONFIG_TOKEN_LIST)
#define PASSWORD   (CONFIG_USER_ADD | CONFIG_USER_PASSWD)

static const char *add_origin(struct config *config, const char *origin);
static const char *add_proxy(struct config *config, const char *network);

/* clang-format off */

#define RATE_LIMIT(limit, text, what) \
    CONFIG_SERVE, RATE, AT(rates[limit]), .environment = true, .fallback = text, .value = "COUNT/s|min|h[:BURST]|none", \
    .help = what

static const struct option_row options[] = {
    {"database-url", DATABASE, TEXT, AT(database_url), .required = true, .environment = true,
     .secret = true, .value = "URL",
     .help = "PostgreSQL: postgresql://user:password@host/database (ps may see an argument for a moment: the environment is safer)"},
    {"database-password-file", DATABASE, TEXT, AT(database_password_file), .environment = true, .value = "FILE",
     .help = "where its password is, if the URL has none"},
    {"database-url-read", CONFIG_SERVE, TEXT, AT(database_url_read), .environment = true, .secret = true, .value = "URL",
     .help = "a streaming standby of it: reports and lists are read there as long as it keeps up (docs/scale.md)"},
    {"listen", CONFIG_SERVE, ADDRESS, AT(listen), .environment = true, .fallback = "127.0.0.1:8008", .value = "HOST:PORT",
     .help = "where to serve; port 0 takes any that is free"},
    {"metrics-listen", CONFIG_SERVE, ADDRESS, AT(metrics_listen), .environment = true, .fallback = "127.0.0.1:8009",
     .choices = "none", .value = "HOST:PORT|none",
     .help = "where to serve /metrics, which asks nobody who they are; port 0 takes any that is free"},
    {"tls-cert", CONFIG_SERVE, TEXT, AT(tls_cert), .environment = true, .value = "FILE",
     .help = "serve HTTPS: the certificate and its chain (PEM); read anew on SIGHUP"},
    {"tls-key", CONFIG_SERVE, TEXT, AT(tls_key), .environment = true, .value = "FILE",
     .help = "the certificate's key (PEM, not encrypted); read anew on SIGHUP"},
    {"hsts-max-age", CONFIG_SERVE, NUMBER, AT(hsts_max_age), .environment = true, .fallback = "0", .minimum = 0,
     .maximum = 126144000, .help = "with TLS: seconds that browsers use nothing but HTTPS for this host, on all its ports"},
    {"auth", CONFIG_SERVE, CHOICE, AT(auth), .environment = true, .fallback = "users", .choices = "users|none",
     .help = "none: everyone is one local admin, for a first try or a trusted network"},
    {"auth-none-anywhere", CONFIG_SERVE, BOOLEAN, AT(auth_none_anywhere), .environment = true, .fallback = "false",
     .help = "allow --auth none on an address that others can reach"},
    {"jwt-hs256-key-file", CONFIG_SERVE, TEXT, AT(jwt_key_file), .environment = true, .value = "FILE",
     .help = "accept JWTs signed with the key in this file (HS256, at least 32 bytes); read anew on SIGHUP"},
    {"jwt-require-exp", CONFIG_SERVE, BOOLEAN, AT(jwt_require_exp), .environment = true, .fallback = "true",
     .help = "refuse JWTs that never expire"},
    {"jwt-issuer", CONFIG_SERVE, TEXT, AT(jwt_issuer), .environment = true, .value = "TEXT",
     .help = "the claim iss must be this"},
    {"jwt-audience", CONFIG_SERVE, TEXT, AT(jwt_audience), .environment = true, .value = "TEXT",
     .help = "the claim aud must be or contain this"},
    {"cors-origin", CONFIG_SERVE, LIST, .add = add_origin, .environment = true, .value = "ORIGIN",
     .help = "a site whose pages may call this server with credentials, https://dashboard.example (repeatable)"},
    {"frontend-url", CONFIG_SERVE, TEXT, AT(frontend_url), .environment = true, .value = "URL",
     .help = "the dashboard: browsers go there after signing in, and its origin is a --cors-origin"},
    {"cookie-samesite", CONFIG_SERVE, CHOICE, AT(cookie_samesite), .environment = true, .fallback = "lax",
     .choices = "lax|strict|none", .help = "to which other sites' pages browsers send the session; none: to all, over TLS only"},
    {"signup", CONFIG_SERVE, CHOICE, AT(signup), .environment = true, .fallback = "closed", .choices = "closed|open",
     .help = "open: whoever reaches the server may make an account"},
    {"trusted-proxy", CONFIG_SERVE, LIST, .add = add_proxy, .environment = true, .value = "ADDRESS[/BITS]",
     .help = "a proxy before this server, whose X-Forwarded-For and X-Forwarded-Proto count (repeatable)"},
    {"rate-address", RATE_LIMIT(LIMIT_ADDRESS, "300/s:3000",
     "requests from one address (of IPv6: one /64), but for those of trackers; beyond that the answer is 429")},
    {"rate-token", RATE_LIMIT(LIMIT_TOKEN, "100/s:1000", "the same, with one token, session or JWT")},
    {"rate-tracker-address", RATE_LIMIT(LIMIT_TRACKER_ADDRESS, "none",
     "experiments, runs, emissions and batches of them from one address; today's trackers lose for good what is refused")},
    {"rate-tracker-token", RATE_LIMIT(LIMIT_TRACKER_TOKEN, "none",
     "the same, with one token; if tenants must not crowd out each other, 1000/s:10000 is far above honest use")},
    {"rate-sign-in", RATE_LIMIT(LIMIT_SIGN_IN, "30/min", "sign-ins from one address, right or wrong")},
    {"rate-sign-up", RATE_LIMIT(LIMIT_SIGN_UP, "10/h", "new accounts from one address")},
    {"rate-password", RATE_LIMIT(LIMIT_PASSWORD, "20/h:10", "wrong passwords for one account, from one address")},
    {"rate-account", RATE_LIMIT(LIMIT_ACCOUNT, "120/h:60",
     "wrong passwords for one account, from all addresses from which its owner has not signed in lately")},
    {"rate-credential", RATE_LIMIT(LIMIT_CREDENTIAL, "60/min", "tokens, sessions and JWTs that nobody holds, from one address")},
    {"log-level", CONFIG_SERVE, CHOICE, AT(log_level), .environment = true, .fallback = "info",
     .choices = "error|warn|info|debug", .help = "info: a line for each request, but of probes that find all well"},
    {"log-format", CONFIG_SERVE, CHOICE, AT(log_format), .environment = true, .fallback = "logfmt",
     .choices = "logfmt|json", .help = "how a line looks"},
    {"workers", CONFIG_SERVE, NUMBER, AT(workers), .environment = true, .fallback = "4", .minimum = 1, .maximum = 256,
     .help = "threads, each with a database connection"},
    {"stream-workers", CONFIG_SERVE, NUMBER, AT(stream_workers), .environment = true, .fallback = "4", .minimum = 1,
     .maximum = 256, .help = "more of them, for lists; one address has at most half of them at once"},
    {"queue-size", CONFIG_SERVE, NUMBER, AT(queue_size), .environment = true, .fallback = "1024", .minimum = 1,
     .maximum = 1000000, .help = "requests that may wait for a worker; beyond that the answer is 503"},
    {"ingest-writers", CONFIG_SERVE, NUMBER, AT(ingest_writers), .environment = true, .fallback = "2", .minimum = 1,
     .maximum = INGEST_WRITERS, .help = "threads that store emissions, each with a database connection"},
    {"ingest-queue", CONFIG_SERVE, NUMBER, AT(ingest_queue), .environment = true, .fallback = "50000", .minimum = 10000,
     .maximum = 10000000, .help = "emissions that may wait to be stored; beyond that the answer is 503"},
    {"connection-limit", CONFIG_SERVE, NUMBER, AT(connection_limit), .environment = true, .fallback = "4096", .minimum = 8,
     .maximum = 1000000, .help = "open connections of clients; beyond that 503, and closed"},
    {"connections-per-address", CONFIG_SERVE, NUMBER, AT(connections_per_address), .environment = true, .fallback = "512",
     .minimum = 0, .maximum = 1000000,
     .help = "of these, as many from one address (of IPv6, one /64); beyond that 429, and closed. 0: no limit"},
    {"requests-per-connection", CONFIG_SERVE, NUMBER, AT(requests_per_connection), .environment = true,
     .fallback = "10000", .minimum = 0, .maximum = 1000000000, .help = "then a connection is closed. 0: no limit"},
    {"body-memory", CONFIG_SERVE, NUMBER, AT(body_memory), .environment = true, .fallback = "256", .minimum = 16,
     .maximum = 1000000, .help = "MiB that the bodies of all requests may take together (a batch unpacks 16 more, on a worker); beyond that 503"},
    {"header-timeout", CONFIG_SERVE, NUMBER, AT(header_timeout), .environment = true, .fallback = "20", .minimum = 1,
     .maximum = 3600, .help = "seconds for a request's headers to arrive; beyond that 408, and closed"},
    {"body-timeout", CONFIG_SERVE, NUMBER, AT(body_timeout), .environment = true, .fallback = "20", .minimum = 1,
     .maximum = 3600, .help = "seconds for its body, or for each part of it at --minimum-rate; beyond that 408, and closed"},
    {"send-timeout", CONFIG_SERVE, NUMBER, AT(send_timeout), .environment = true, .fallback = "30", .minimum = 1,
     .maximum = 3600, .help = "seconds for a client to read its answer, or each part of it at --minimum-rate; beyond that closed"},
    {"minimum-rate", CONFIG_SERVE, NUMBER, AT(minimum_rate), .environment = true, .fallback = "4", .minimum = 1,
     .maximum = 1000000, .help = "KiB a second that a client sends or reads at least"},
    {"idle-timeout", CONFIG_SERVE, NUMBER, AT(idle_timeout), .environment = true, .fallback = "60", .minimum = 1,
     .maximum = 3600, .help = "seconds that a connection is kept for the next request"},
    {"queue-timeout", CONFIG_SERVE, NUMBER, AT(queue_timeout), .environment = true, .fallback = "10", .minimum = 1,
     .maximum = 3600, .help = "seconds that a request waits for a worker; beyond that 503"},
    {"statement-timeout", CONFIG_SERVE, NUMBER, AT(statement_timeout), .environment = true, .fallback = "30", .minimum = 1,
     .maximum = 86400, .help = "seconds that a database statement may run"},
    {"drain-delay", CONFIG_SERVE, NUMBER, AT(drain_delay), .environment = true, .fallback = "1", .minimum = 0,
     .maximum = 3600, .help = "seconds between SIGTERM (/readyz answers 503) and the end of new connections"},
    {"grace", CONFIG_SERVE, NUMBER, AT(grace), .environment = true, .fallback = "10", .minimum = 0, .maximum = 3600,
     .help = "seconds then left to finish what has begun"},
    {"stream-timeout", CONFIG_SERVE, NUMBER, AT(stream_timeout), .environment = true, .fallback = "600", .minimum = 1,
     .maximum = 86400, .help = "seconds that a list may take as a whole"},
    {"partitions-ahead", CONFIG_SERVE, NUMBER, AT(partitions_ahead), .environment = true, .fallback = "2", .minimum = 0,
     .maximum = 24, .help = "months after this one whose partition of the emissions is made before they come"},
    {"audit-keep", CONFIG_SERVE, NUMBER, AT(audit_keep), .environment = true, .fallback = "400", .minimum = 1,
     .maximum = 36500, .help = "days after which audit records go, and the addresses in them"},
    {"retention", CONFIG_SERVE, AGE, AT(retention), .environment = true, .fallback = "none", .choices = "none",
     .value = "AGE|none", .help = "drop emissions of months that are older, and keep their sums: what carbond retention does, once an hour"},
    {"prepared-statements", CONFIG_SERVE, BOOLEAN, AT(prepared_statements), .environment = true, .fallback = "true",
     .help = "false: for poolers that hand each transaction to another session"},
    {"migrate", CONFIG_SERVE, BOOLEAN, AT(migrate), .environment = true, .fallback = "false",
     .help = "first bring the database's schema up to date; of several servers one does it, and the others wait"},
    {"first-admin", CONFIG_SERVE, TEXT, AT(first_admin), .environment = true, .value = "EMAIL",
     .help = "if the database has no user: add this one, an organization, a project and its token, and print how to sign in, this once"},
    {"database-wait", CONFIG_SERVE, NUMBER, AT(database_wait), .environment = true, .fallback = "60", .minimum = 0,
     .maximum = 3600, .help = "seconds that these two wait for a database that is away (without them the server starts, and says 503 until it comes)"},
    {"metrics-projects", CONFIG_SERVE, NUMBER, AT(metrics_projects), .environment = true, .fallback = "0", .minimum = 0,
     .maximum = 10000, .help = "tell in /metrics what projects emitted, by their names: as many, those that emitted the most"},

    {"listen", CONFIG_HEALTH, ADDRESS, AT(listen), .environment = true, .fallback = "127.0.0.1:8008", .value = "HOST:PORT",
     .help = "where the server serves"},
    {"tls-cert", CONFIG_HEALTH, TEXT, AT(tls_cert), .environment = true, .value = "FILE",
     .help = "the server has one, and so speaks HTTPS; it is not compared"},

    {"id", CONFIG_USER_ADD, TEXT, AT(id), .value = "UUID", .help = "the id to give (otherwise a new one)"},
    {"id", CONFIG_TOKEN_REVOKE, TEXT, AT(id), .value = "UUID", .help = "the token's id, as token list prints it"},
    {"email", PASSWORD, TEXT, AT(email), .required = true, .value = "EMAIL", .help = "the user's address"},
    {"name", NAMED, TEXT, AT(name), .required = true, .value = "NAME", .help = "its name"},
    {"name", CONFIG_TOKEN_ADD, TEXT, AT(name), .fallback = "", .value = "NAME", .help = "what it is for"},
    {"description", IN_TREE, TEXT, AT(description), .fallback = "", .value = "TEXT", .help = "what it is"},
    {"admin", CONFIG_ORGANIZATION_ADD, TEXT, AT(admin), .required = true, .value = "EMAIL",
     .help = "the user who becomes its admin"},
    {"organization", CONFIG_PROJECT_ADD | CONFIG_PROJECT_LIST, TEXT, AT(organization), .required = true, .value = "UUID",
     .help = "the organization it belongs to"},
    {"project", IN_PROJECT, TEXT, AT(project), .required = true, .value = "UUID",
     .help = "the project it belongs to"},
    {"access", CONFIG_TOKEN_ADD, CHOICE, AT(access), .required = true, .choices = "read|write|read-write",
     .help = "what it may do"},
    {"password-stdin", PASSWORD, FLAG, AT(password_stdin), .help = "read the password from standard input (one line)"},
    {"token-stdin", CONFIG_TOKEN_REVOKE, FLAG, AT(token_stdin), .help = "read the token from standard input (one line)"},
    {"format", CONFIG_OPENAPI, CHOICE, AT(format), .fallback = "yaml", .choices = "yaml|json", .help = "of the output"},
    {"tables", CONFIG_OPENAPI, FLAG, AT(tables), .help = "print the server's tables of routes and members instead"},
    {"status", CONFIG_MIGRATE, FLAG, AT(status),
     .help = "only tell what is applied and what is pending (then the exit status is 1)"},
    {"dry-run", CONFIG_MIGRATE, FLAG, AT(dry_run), .help = "only print the statements that are to be applied"},
    {"lock-wait", CONFIG_MIGRATE | CONFIG_SERVE, NUMBER, AT(lock_wait), .environment = true, .fallback = "60", .minimum = 0, .maximum = 86400,
     .help = "seconds to try again while others hold a lock that a migration needs (each try holds up others for half a second at most)"},
    {"citus", CONFIG_MIGRATE, FLAG, AT(citus),
     .help = "once the schema is up to date, spread the data by the extension Citus (an experiment: read docs/scale.md first)"},
    {"keep", CONFIG_RETENTION, AGE, AT(retention), .required = true, .value = "AGE",
     .help = "how long: 24months, 2years, 90days, 26weeks; a month goes when all of it is older"},
    {"dry-run", CONFIG_RETENTION, FLAG, AT(dry_run), .help = "only tell what would go"},
    {"repair", CONFIG_VERIFY_SUMS, FLAG, AT(repair), .help = "make the sums anew of the runs whose sums differ"},
    {"help", ~0U, FLAG, AT(help), .help = "print this"},
};

/* clang-format on */

#define VARIABLE_PREFIX "CARBOND_"
enum {
    OPTION_COUNT = sizeof options / sizeof options[0],
    HIGHEST_PORT = 65535,
    LONGEST_HOST = 253,
    VARIABLE_SIZE = 64
};

static char problem[256];

static void *place(struct config *config, const struct option_row *option) {
    return (char *)config + option->offset;
}

/* ---- values */

static bool is_choice(const char *choices, const char *value) {
    size_t length = strlen(value);
    for (const char *choice = choices; choice; choice = strchr(choice, '|')) {
        choice += *choice == '|';
        if (length && strcspn(choice, "|") == length && strncmp(choice, value, length) == 0)
            return true;
    }
    return false;
}

/* Whether there is such a host and whether the port is free shows when the server starts. */
static bool is_address(const char *value) {
    const char *colon = strrchr(value, ':');
    if (!colon || colon == value || colon - value > LONGEST_HOST)
        return false;
    size_t digits = strspn(colon + 1, "0123456789");
    return digits > 0 && digits <= 5 && !colon[1 + digits] && strtol(colon + 1, NULL, 10) <= HIGHEST_PORT;
}

static const char *set_number(struct config *config, const struct option_row *option, const char *value) {
    char *end;
    long number = strtol(value, &end, 10);
    if (!*value || *end || number < option->minimum || number > option->maximum) {
        snprintf(problem, sizeof problem, "--%s takes a number from %d to %d", option->name, option->minimum,
                 option->maximum);
        return problem;
    }
    *(int *)place(config, option) = (int)number;
    return NULL;
}

static const char *add_origin(struct config *config, const char *origin) {
    if (strncmp(origin, "http://", 7) != 0 && strncmp(origin, "https://", 8) != 0)
        return "--cors-origin takes an origin like https://dashboard.example";
    if (strchr(strstr(origin, "://") + 3, '/'))
        return "--cors-origin takes an origin without a path or a slash at its end";
    if (config->cors_origin_count == CONFIG_ORIGINS)
        return "too many --cors-origin";
    config->cors_origins[config->cors_origin_count++] = origin;
    return NULL;
}

static const char *add_proxy(struct config *config, const char *network) {
    if (config->trusted_proxy_count == CONFIG_PROXIES)
        return "too many --trusted-proxy";
    if (!http_network_parse(network, &config->trusted_proxies[config->trusted_proxy_count]))
        return "--trusted-proxy takes an address or a network: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32";
    config->trusted_proxy_count++;
    return NULL;
}

static char *own(struct config *config, char *text) {
    if (text && config->owned_count < sizeof config->owned / sizeof config->owned[0])
        return config->owned[config->owned_count++] = text;
    free(text);
    return NULL;
}

static const char *set_list(struct config *config, const struct option_row *option, const char *value) {
    char *list = own(config, strdup(value)), *rest;
    if (!list) {
        snprintf(problem, sizeof problem, "too many --%s", option->name);
        return problem;
    }
    for (char *element = strtok_r(list, ", ", &rest); element; element = strtok_r(NULL, ", ", &rest)) {
        const char *wrong = option->add(config, element);
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *set(struct config *config, const struct option_row *option, const char *value) {
    switch (option->kind) {
    case FLAG: *(bool *)place(config, option) = true; return NULL;
    case NUMBER: return set_number(config, option, value);
    case LIST: return set_list(config, option, value);
    case RATE:
        if (rate_parse(value, place(config, option)))
            return NULL;
        snprintf(problem, sizeof problem, "--%s takes a rate like 20/min, 300/s:3000 or none", option->name);
        return problem;
    case AGE:
        *(struct age *)place(config, option) = (struct age){0};
        if (is_choice(option->choices, value) || age_parse(value, place(config, option)))
            return NULL;
        snprintf(problem, sizeof problem, "--%s takes an age like 24months, of " AGE_LEAST " at least",
                 option->name);
        return problem;
    case BOOLEAN:
        if (is_choice("true|false", value)) {
            *(bool *)place(config, option) = strcmp(value, "true") == 0;
            return NULL;
        }
        snprintf(problem, sizeof problem, "--%s is true or false", option->name);
        return problem;
    case ADDRESS:
        if (!is_address(value) && !is_choice(option->choices, value)) {
            snprintf(problem, sizeof problem, "--%s takes %s", option->name, option->value);
            return problem;
        }
        break;
    case CHOICE:
        if (!is_choice(option->choices, value)) {
            snprintf(problem, sizeof problem, "--%s is one of %s", option->name, option->choices);
            return problem;
        }
        break;
    case TEXT: break;
    }
    *(const char **)place(config, option) = value;
    return NULL;
}

/* ---- where values come from */

/* One that is empty counts as none. */
static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* --drain-delay is CARBOND_DRAIN_DELAY. */
static void write_variable(const struct option_row *option, char name[VARIABLE_SIZE]) {
    size_t used = (size_t)snprintf(name, VARIABLE_SIZE, VARIABLE_PREFIX);
    for (const char *c = option->name; *c; c++)
        name[used++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    name[used] = '\0';
}

static bool is_database_url(const struct option_row *option) {
    return strcmp(option->name, "database-url") == 0;
}

static const char *environment_value(const struct option_row *option) {
    char name[VARIABLE_SIZE];
    write_variable(option, name);
    const char *value = variable(name);
    return value || !is_database_url(option) ? value : variable("DATABASE_URL");
}

static bool is_option(const char *variable) {
    char name[VARIABLE_SIZE];
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        write_variable(&options[i], name);
        if (options[i].environment && strcmp(name, variable) == 0)
            return true;
    }
    return false;
}

/* Kubernetes sets these for each service in every container beside it: of one that is named carbond, or carbond-db. */
static bool is_of_kubernetes(const char *entry) {
    static const char *const patterns[] = {
        "*SERVICE_HOST=*", "*SERVICE_PORT=*", "*SERVICE_PORT_*=*", "*_PORT=*://*", "*_PORT_[0-9]*_*=*",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        if (fnmatch(patterns[i], entry, 0) == 0)
            return true;
    return false;
}

void config_unknown_variables(void (*tell)(const char *name)) {
    char name[2 * VARIABLE_SIZE];
    for (char **entry = environ; *entry; entry++) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*entry, "="), *entry);
        if (strncmp(name, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) == 0 && !is_option(name) &&
            !is_of_kubernetes(*entry))
            tell(name);
    }
}

static const char *set_from_elsewhere(struct config *config, const struct option_row *option) {
    const char *value = option->environment ? environment_value(option) : NULL;
    if (!value)
        value = option->fallback;
    if (value)
        return set(config, option, value);
    if (option->required) {
        snprintf(problem, sizeof problem, "--%s is missing", option->name);
        return problem;
    }
    return NULL;
}

/* The front end's pages call us: its origin is one of the configured ones. */
static const char *add_frontend_origin(struct config *config) {
    config->frontend_origin = "";
    if (!config->frontend_url)
        return NULL;
    const char *scheme_end = strstr(config->frontend_url, "://");
    if (!scheme_end)
        return "--frontend-url takes a URL like https://dashboard.example";
    size_t length = (size_t)(scheme_end - config->frontend_url) + 3 + strcspn(scheme_end + 3, "/");
    char *origin = own(config, strndup(config->frontend_url, length));
    config->frontend_origin = origin;
    return origin ? add_origin(config, origin) : "too many --cors-origin";
}

/* Whoever lists processes sees their arguments: a secret is among them no longer than it takes to read it. */
static const char *conceal(struct config *config, const struct option_row *option, char *argument) {
    const char *copy = own(config, strdup(argument));
    if (!copy)
        return "too many options";
    *(const char **)place(config, option) = copy;
    memset(argument, '*', strlen(argument));
    return NULL;
}

static size_t rows_of(unsigned command, const struct option_row *rows[OPTION_COUNT]) {
    size_t count = 0;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (options[i].commands & command)
            rows[count++] = &options[i];
    return count;
}

/* What stands behind the name may be a secret, as in --database-ulr=URL. */
static const char *wrong_option(const char *argument, const char *what) {
    size_t length = strcspn(argument, "=");
    snprintf(problem, sizeof problem, "%.*s %s", (int)(length < 100 ? length : 100), argument, what);
    return problem;
}

static const char *read_flags(struct config *config, const struct option_row **rows, size_t count,
                              bool *given, int argc, char **argv) {
    struct option known[OPTION_COUNT + 1] = {{0}};
    for (size_t i = 0; i < count; i++)
        known[i] =
            (struct option){rows[i]->name, rows[i]->kind == FLAG ? no_argument : required_argument, NULL, 0};
    opterr = 0;
    optind = 1;
    int index, found;
    while ((found = getopt_long(argc, argv, ":", known, &index)) != -1) {
        if (found != 0)
            return wrong_option(argv[optind - 1],
                                found == ':' ? "needs a value" : "is not an option of this command");
        given[index] = true;
        const char *wrong =
            rows[index]->secret ? conceal(config, rows[index], optarg) : set(config, rows[index], optarg);
        if (wrong)
            return wrong;
    }
    if (optind == argc)
        return NULL;
    snprintf(problem, sizeof problem, "unexpected argument: %.100s", argv[optind]);
    return problem;
}

const char *config_read(struct config *config, unsigned command, int argc, char **argv) {
    const struct option_row *rows[OPTION_COUNT];
    bool given[OPTION_COUNT] = {false};
    *config = (struct config){0};
    size_t count = rows_of(command, rows);
    const char *wrong = read_flags(config, rows, count, given, argc, argv);
    for (size_t i = 0; !wrong && !config->help && i < count; i++)
        if (!given[i])
            wrong = set_from_elsewhere(config, rows[i]);
    return wrong || config->help ? wrong : add_frontend_origin(config);
}

void config_free(struct config *config) {
    for (size_t i = 0; i < config->owned_count; i++)
        free(config->owned[i]);
    config->owned_count = 0;
}

static const char *shown_value(const struct option_row *option) {
    switch (option->kind) {
    case FLAG: return "";
    case BOOLEAN: return "true|false";
    case NUMBER: return "N";
    case CHOICE: return option->choices;
    case TEXT:
    case ADDRESS:
    case LIST:
    case RATE:
    case AGE: break;
    }
    return option->value;
}

static void tell_variables(const struct option_row *const *rows, size_t count, FILE *out) {
    const char *before = "\nThese can be set in the environment: ";
    char name[VARIABLE_SIZE];
    for (size_t i = 0; i < count; i++) {
        if (!rows[i]->environment)
            continue;
        write_variable(rows[i], name);
        fprintf(out, "%s--%s is %s%s", before, rows[i]->name, name,
                is_database_url(rows[i]) ? " or DATABASE_URL" : "");
        before = ",\n";
    }
    if (*before == ',')
        fprintf(out, ".\n");
}

void config_help(unsigned command, FILE *out) {
    const struct option_row *rows[OPTION_COUNT];
    size_t count = rows_of(command, rows);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "  --%s %s\n      %s", rows[i]->name, shown_value(rows[i]), rows[i]->help);
        if (rows[i]->required)
            fprintf(out, " [required]");
        if (rows[i]->fallback && *rows[i]->fallback)
            fprintf(out, " [default: %s]", rows[i]->fallback);
        fprintf(out, "\n");
    }
    if (command & CONFIG_SERVE)
        fprintf(
            out,
            "\nEach option can be set in the environment instead: --drain-delay is CARBOND_DRAIN_DELAY;\n"
            "--database-url is CARBOND_DATABASE_URL or DATABASE_URL.\n"
            "\nSIGTERM, SIGINT: /readyz answers 503, then what has begun is finished, and the server ends.\n"
            "SIGHUP: the files of --tls-cert, --tls-key and --jwt-hs256-key-file are read anew; no "
            "connection is\n"
            "disturbed, and what cannot be used leaves what was before. (When the terminal is gone, it "
            "ends.)\n");
    else
        tell_variables(rows, count, out);
}
