/* carbond-send: runs and emissions from a script. */
#include "programs.h"
#include "session.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uuid/uuid.h>

static const char PROGRAM[] = "carbond-send";

/* -- one run ------------------------------------------------------------------------------------------------------------- */

static int send_run(struct arguments *arguments) {
    carbond_client *client = session_open(arguments, PROGRAM);
    carbond_run *run;
    if (!client)
        return EXIT_USAGE;
    int code = carbond_run_start(client, &arguments->info, &run);
    if (code == CARBOND_INVALID) {
        fprintf(stderr, "%s: the run needs the UUID of an experiment, and texts of 4096 bytes at most\n",
                PROGRAM);
        carbond_close(client);
        return EXIT_USAGE;
    }
    if (code != CARBOND_OK && code != CARBOND_NOT_DURABLE) {
        fprintf(stderr, "%s: %s\n", PROGRAM, carbond_strerror(code));
        carbond_close(client);
        return EXIT_FAILED;
    }
    printf("%s\n", carbond_run_id(run));
    return session_end(client, arguments, PROGRAM);
}

/* -- emissions ----------------------------------------------------------------------------------------------------------- */

struct sending {
    carbond_client *client;
    carbond_run *run; /* of the emission before */
    bool is_last;     /* only this one: it has to be on the disk before its id is told */
};

static const char *take_run(struct sending *sending, const char *id) {
    if (!id)
        return "--run is missing";
    if (sending->run && strcmp(carbond_run_id(sending->run), id) == 0)
        return NULL;
    carbond_run_free(sending->run);
    sending->run = NULL;
    int code = carbond_run_resume(sending->client, id, &sending->run);
    return code == CARBOND_OK        ? NULL
           : code == CARBOND_INVALID ? "the run's id is no UUID"
                                     : carbond_strerror(code);
}

/* Lines come faster than a disk may take them: the ring's being full is no reason to lose one. */
static int emit(const struct sending *sending, const carbond_emission *emission) {
    enum { ATTEMPTS = 10000 };
    const struct timespec pause = {.tv_nsec = 1000000};
    if (sending->is_last)
        return carbond_emit_sync(sending->run, emission);
    int code = carbond_emit(sending->run, emission);
    for (int i = 0; i < ATTEMPTS && code == CARBOND_FULL; i++) {
        nanosleep(&pause, NULL);
        code = carbond_emit(sending->run, emission);
    }
    return code;
}

/* NULL, or what is wrong. The id is told once it is accepted. */
static const char *send_one(struct sending *sending, const struct arguments *arguments) {
    carbond_emission emission = arguments->emission;
    char id[UUID_STR_LEN];
    const char *fault = take_run(sending, arguments->run);
    if (fault)
        return fault;
    if (!emission.id) {
        uuid_t bytes;
        uuid_generate_random(bytes);
        uuid_unparse_lower(bytes, id);
        emission.id = id;
    }
    int code = emit(sending, &emission);
    if (code == CARBOND_INVALID)
        return "an emission needs a duration of more than 0 s, an id that is a UUID, and numbers within "
               "their range";
    if (code != CARBOND_OK && code != CARBOND_NOT_DURABLE)
        return carbond_strerror(code);
    printf("%s\n", emission.id);
    return NULL;
}

static const char *take_member(struct arguments *arguments, const char *name, const json_t *value) {
    if (json_is_null(value))
        return NULL;
    if (json_is_string(value))
        return arguments_set_text(arguments, name, json_string_value(value));
    if (json_is_number(value))
        return arguments_set_number(arguments, name, json_number_value(value));
    return arguments_set_text(arguments, name, ""); /* it may be a member that is none of an emission's */
}

/* What the options say, and the line says otherwise. */
static const char *send_line(struct sending *sending, const struct arguments *defaults, const char *line) {
    struct arguments arguments = *defaults;
    const char *fault = NULL, *name;
    json_t *object = json_loads(line, JSON_DECODE_INT_AS_REAL, NULL), *value;
    if (!json_is_object(object)) {
        json_decref(object);
        return "it is no JSON object";
    }
    json_object_foreach(object, name, value) if (!fault) fault = take_member(&arguments, name, value);
    if (!fault)
        fault = send_one(sending, &arguments);
    json_decref(object);
    return fault;
}

/* A faulty line costs its neighbours nothing. */
static bool send_lines(struct sending *sending, const struct arguments *arguments) {
    char *line = NULL;
    size_t size = 0;
    bool good = true;
    for (unsigned long number = 1; getline(&line, &size, stdin) >= 0; number++) {
        if (line[strspn(line, " \t\r\n")] == '\0')
            continue;
        const char *fault = send_line(sending, arguments, line);
        if (fault)
            fprintf(stderr, "%s: line %lu: %s\n", PROGRAM, number, fault);
        good &= !fault;
    }
    if (ferror(stdin)) {
        fprintf(stderr, "%s: standard input can't be read\n", PROGRAM);
        good = false;
    }
    free(line);
    return good;
}

static bool send_single(struct sending *sending, const struct arguments *arguments) {
    const char *fault = send_one(sending, arguments);
    if (fault)
        fprintf(stderr, "%s: %s\n", PROGRAM, fault);
    return !fault;
}

static int send_emission(struct arguments *arguments) {
    struct sending sending = {.client = session_open(arguments, PROGRAM), .is_last = !arguments->lines};
    if (!sending.client)
        return EXIT_USAGE;
    bool good = arguments->lines ? send_lines(&sending, arguments) : send_single(&sending, arguments);
    int status = session_end(sending.client, arguments, PROGRAM);
    return good ? status : EXIT_FAILED;
}

/* -- the command line ---------------------------------------------------------------------------------------------------- */

static const struct program_command COMMANDS[] = {
    {"run", SEND_RUN, send_run, "begin a run; prints its id"},
    {"emission", SEND_EMISSION, send_emission, "hand over one emission, or many; prints the id of each"},
};

static const char NOTES[] =
    "  run=$(carbond-send run --experiment UUID)\n"
    "  carbond-send emission --run \"$run\" --duration 15 --emissions-sum 1.9e-06 --energy-consumed "
    "3.4e-05\n\n"
    "What the server does not have when the wait is over stays in the spool: the next carbond-send delivers "
    "it,\n"
    "or any other process on the same spool, or carbond-spool flush.\n\n"
    "Exit status: 0 delivered (with --wait 0: in the spool), 1 something was not accepted or refused by the "
    "server,\n"
    "2 wrong usage or configuration, 3 in the spool, and not all of it delivered yet.\n";

int main(int argc, char **argv) {
    const struct program program = {
        .name = PROGRAM,
        .summary = "hands runs and emissions to a carbond server, and loses none of them.",
        .operands = "",
        .commands = COMMANDS,
        .count = sizeof COMMANDS / sizeof *COMMANDS,
        .notes = NOTES,
    };
    return program_main(&program, argc, argv);
}
