#include "arguments.h"

#include "moment.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    TEXT,
    NUMBER, /* a double */
    COUNT,  /* an int32_t */
    MOMENT, /* an int64_t: microseconds since 1970 */
    SERVER, /* enum carbond_server */
    FLAG,
};

struct option_row {
    const char *name;
    unsigned commands;
    enum kind kind;
    size_t offset;
    const char *value;  /* in the help */
    const char *member; /* of an emission, as the API calls it; or NULL */
    const char *help;
};

#define AT(member)    offsetof(struct arguments, member)
#define SEND          (SEND_RUN | SEND_EMISSION)
#define SENDS         (SEND | SPOOL_FLUSH)
#define OF_EMISSION   SEND_EMISSION, NUMBER
#define MEMBER(named) AT(emission.named), .member = #named

/* clang-format off */
static const struct option_row ROWS[] = {
    {"experiment", SEND_RUN, TEXT, AT(info.experiment_id), "UUID", .help = "the experiment that it belongs to [CARBOND_EXPERIMENT_ID]"},
    {"id", SEND_RUN, TEXT, AT(info.id), "UUID", .help = "its id (otherwise a new one)"},
    {"timestamp", SEND_RUN, MOMENT, AT(info.timestamp), "TIME", .help = "its start, RFC 3339 (otherwise now)"},
    {"os", SEND_RUN, TEXT, AT(info.os), "TEXT", .help = "operating system"},
    {"python-version", SEND_RUN, TEXT, AT(info.python_version), "TEXT", .help = "of Python"},
    {"codecarbon-version", SEND_RUN, TEXT, AT(info.codecarbon_version), "TEXT", .help = "of the tracker"},
    {"cpu-count", SEND_RUN, COUNT, AT(info.cpu_count), "N", .help = "CPUs"},
    {"cpu-model", SEND_RUN, TEXT, AT(info.cpu_model), "TEXT", .help = "their model"},
    {"gpu-count", SEND_RUN, COUNT, AT(info.gpu_count), "N", .help = "GPUs"},
    {"gpu-model", SEND_RUN, TEXT, AT(info.gpu_model), "TEXT", .help = "their model"},
    {"ram-total-size", SEND_RUN, NUMBER, AT(info.ram_total_size), "GB", .help = "memory"},
    {"longitude", SEND_RUN, NUMBER, AT(info.longitude), "DEGREES", .help = "where it runs"},
    {"latitude", SEND_RUN, NUMBER, AT(info.latitude), "DEGREES", .help = "where it runs"},
    {"region", SEND_RUN, TEXT, AT(info.region), "TEXT", .help = "where it runs"},
    {"provider", SEND_RUN, TEXT, AT(info.provider), "TEXT", .help = "of the cloud"},
    {"tracking-mode", SEND_RUN, TEXT, AT(info.tracking_mode), "TEXT", .help = "machine or process"},

    {"run", SEND_EMISSION, TEXT, AT(run), "UUID", "run_id", "the run that it belongs to"},
    {"stdin", SEND_EMISSION, FLAG, AT(lines), .help = "read a JSON object a line, as the API has it; the options say what a line leaves out"},
    {"id", SEND_EMISSION, TEXT, AT(emission.id), "UUID", "id", "its id (otherwise a new one)"},
    {"timestamp", SEND_EMISSION, MOMENT, AT(emission.timestamp), "TIME", "timestamp", "RFC 3339 (otherwise now)"},
    {"duration", OF_EMISSION, MEMBER(duration), .value = "S", .help = "s since the emission before it, more than 0"},
    {"emissions-sum", OF_EMISSION, MEMBER(emissions_sum), .value = "KG", .help = "kg CO2eq"},
    {"emissions-rate", OF_EMISSION, MEMBER(emissions_rate), .value = "KG/S", .help = "kg CO2eq/s"},
    {"energy-consumed", OF_EMISSION, MEMBER(energy_consumed), .value = "KWH", .help = "kWh of CPU, GPU and RAM"},
    {"cpu-energy", OF_EMISSION, MEMBER(cpu_energy), .value = "KWH", .help = "kWh"},
    {"gpu-energy", OF_EMISSION, MEMBER(gpu_energy), .value = "KWH", .help = "kWh"},
    {"ram-energy", OF_EMISSION, MEMBER(ram_energy), .value = "KWH", .help = "kWh"},
    {"cpu-power", OF_EMISSION, MEMBER(cpu_power), .value = "W", .help = "W"},
    {"gpu-power", OF_EMISSION, MEMBER(gpu_power), .value = "W", .help = "W"},
    {"ram-power", OF_EMISSION, MEMBER(ram_power), .value = "W", .help = "W"},
    {"cpu-utilization-percent", OF_EMISSION, MEMBER(cpu_utilization_percent), .value = "N", .help = "0 to 100"},
    {"gpu-utilization-percent", OF_EMISSION, MEMBER(gpu_utilization_percent), .value = "N", .help = "0 to 100"},
    {"ram-utilization-percent", OF_EMISSION, MEMBER(ram_utilization_percent), .value = "N", .help = "0 to 100"},
    {"wue", OF_EMISSION, MEMBER(wue), .value = "L/KWH", .help = "water usage effectiveness, L/kWh"},

    {"url", SENDS, TEXT, AT(options.url), "URL", .help = "the server [CARBOND_URL, or api_endpoint of .codecarbon.config]"},
    {"token-file", SENDS, TEXT, AT(token_file), "FILE", .help = "a file that holds the token [CARBOND_TOKEN, or api_key of .codecarbon.config]"},
    {"spool", SEND, TEXT, AT(options.spool_dir), "DIR", .help = "the spool [CARBOND_SPOOL_DIR; default ~/.local/state/carbond]"},
    {"server", SENDS, SERVER, AT(options.server), "KIND", .help = "auto, carbond, codecarbon1 or codecarbon2 [CARBOND_SERVER; default auto]"},
    {"wait", SENDS, NUMBER, AT(wait), "S", .help = "s to wait for the server [default: 10]; 0: leave it in the spool"},
    {"any-url", SPOOL_FLUSH, FLAG, AT(any_url), .help = "what was meant for other URLs as well"},
    {"verbose", SENDS, FLAG, AT(verbose), .help = "tell what happens on standard error"},
    {"help", ~0U, FLAG, AT(help), .help = "print this"},
};
/* clang-format on */

static const char *const SERVERS[] = {"auto", "carbond", "codecarbon1", "codecarbon2"};

enum { ROWS_COUNT = sizeof ROWS / sizeof *ROWS, SERVERS_COUNT = sizeof SERVERS / sizeof *SERVERS };

static char problem[256];

static void *place_of(struct arguments *arguments, const struct option_row *row) {
    return (char *)arguments + row->offset;
}

/* -- values -------------------------------------------------------------------------------------------------------------- */

static const char *wrong(const struct option_row *row, const char *takes) {
    snprintf(problem, sizeof problem, "%s%s takes %s", row->member ? "" : "--",
             row->member ? row->member : row->name, takes);
    return problem;
}

static bool read_number(const char *text, double *number) {
    char *end;
    *number = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*number);
}

static const char *set_count(struct arguments *arguments, const struct option_row *row, const char *text) {
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < 0 || number > INT32_MAX)
        return wrong(row, "a whole number that is not negative");
    *(int32_t *)place_of(arguments, row) = (int32_t)number;
    return NULL;
}

static const char *set_server(struct arguments *arguments, const struct option_row *row, const char *text) {
    for (int32_t i = 0; i < SERVERS_COUNT; i++) {
        if (strcmp(text, SERVERS[i]) != 0)
            continue;
        *(int32_t *)place_of(arguments, row) = i;
        return NULL;
    }
    return wrong(row, "auto, carbond, codecarbon1 or codecarbon2");
}

static const char *set(struct arguments *arguments, const struct option_row *row, const char *text) {
    switch (row->kind) {
    case TEXT: *(const char **)place_of(arguments, row) = text; return NULL;
    case NUMBER: return read_number(text, place_of(arguments, row)) ? NULL : wrong(row, "a number");
    case COUNT: return set_count(arguments, row, text);
    case MOMENT:
        return moment_parse(text, place_of(arguments, row)) ? NULL
                                                            : wrong(row, "a time as 2026-11-23T17:40:00Z");
    case SERVER: return set_server(arguments, row, text);
    case FLAG: *(bool *)place_of(arguments, row) = true; return NULL;
    }
    return NULL;
}

static const struct option_row *find_member(const char *member) {
    for (size_t i = 0; i < ROWS_COUNT; i++)
        if (ROWS[i].member && strcmp(ROWS[i].member, member) == 0)
            return &ROWS[i];
    return NULL;
}

const char *arguments_set_text(struct arguments *arguments, const char *member, const char *text) {
    const struct option_row *row = find_member(member);
    if (row && row->kind == NUMBER)
        return wrong(row, "a number");
    return row ? set(arguments, row, text) : NULL;
}

const char *arguments_set_number(struct arguments *arguments, const char *member, double number) {
    const struct option_row *row = find_member(member);
    if (!row)
        return NULL;
    if (row->kind != NUMBER)
        return wrong(row, "a text");
    *(double *)place_of(arguments, row) = number;
    return NULL;
}

/* -- the command line ---------------------------------------------------------------------------------------------------- */

static size_t rows_of(unsigned command, const struct option_row *rows[ROWS_COUNT]) {
    size_t count = 0;
    for (size_t i = 0; i < ROWS_COUNT; i++)
        if (ROWS[i].commands & command)
            rows[count++] = &ROWS[i];
    return count;
}

static const char *read_options(struct arguments *arguments, unsigned command, int argc, char **argv) {
    const struct option_row *rows[ROWS_COUNT];
    struct option known[ROWS_COUNT + 1] = {{0}};
    size_t count = rows_of(command, rows);
    for (size_t i = 0; i < count; i++)
        known[i] =
            (struct option){rows[i]->name, rows[i]->kind == FLAG ? no_argument : required_argument, NULL, 0};
    opterr = 0;
    optind = 1;
    int index, found;
    while ((found = getopt_long(argc, argv, ":", known, &index)) != -1) {
        if (found != 0) {
            const char *what = found == ':' ? "needs a value" : "is not an option of this command";
            snprintf(problem, sizeof problem, "%.100s %s", argv[optind - 1], what);
            return problem;
        }
        const char *fault = set(arguments, rows[index], optarg);
        if (fault)
            return fault;
    }
    return NULL;
}

static const char *read_directory(struct arguments *arguments, int argc, char **argv) {
    if (optind + 1 != argc)
        return "it takes one DIR: the spool";
    arguments->options.spool_dir = argv[optind];
    return NULL;
}

static const char *read_token(struct arguments *arguments) {
    if (!arguments->token_file)
        return NULL;
    FILE *file = fopen(arguments->token_file, "re");
    errno = file ? 0 : errno;
    bool good = file && fgets(arguments->token, sizeof arguments->token, file);
    if (!good)
        snprintf(problem, sizeof problem, "%.150s %s%s", arguments->token_file,
                 errno ? "can't be read: " : "holds no token", errno ? strerror(errno) : "");
    if (file)
        fclose(file);
    if (!good)
        return problem;
    arguments->token[strcspn(arguments->token, "\r\n")] = '\0';
    arguments->options.token = arguments->token;
    return NULL;
}

const char *arguments_read(struct arguments *arguments, unsigned command, int argc, char **argv) {
    *arguments = (struct arguments){.wait = 10};
    carbond_options_init(&arguments->options, sizeof arguments->options);
    carbond_run_info_init(&arguments->info, sizeof arguments->info);
    carbond_emission_init(&arguments->emission, sizeof arguments->emission);
    const char *fault = read_options(arguments, command, argc, argv);
    if (fault || arguments->help)
        return fault;
    if (arguments->wait < 0 || arguments->wait > 1e6)
        return "--wait takes seconds, from 0 to a million";
    if (command & (SPOOL_LIST | SPOOL_FLUSH | SPOOL_VERIFY))
        fault = read_directory(arguments, argc, argv);
    else if (optind < argc) {
        snprintf(problem, sizeof problem, "unexpected argument: %.100s", argv[optind]);
        fault = problem;
    }
    return fault ? fault : read_token(arguments);
}

void arguments_help(unsigned command, FILE *out) {
    const struct option_row *rows[ROWS_COUNT];
    size_t count = rows_of(command, rows);
    for (size_t i = 0; i < count; i++) {
        char shown[64];
        snprintf(shown, sizeof shown, "--%s %s", rows[i]->name, rows[i]->value ? rows[i]->value : "");
        fprintf(out, "  %-31s %s\n", shown, rows[i]->help);
    }
}
