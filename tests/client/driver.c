/* A tracker by the word: does what standard input says, a command a line, and answers each on standard output. Options come
 * from the environment and from `open`. The tests are in Python; what they drive is a real process on the real library.
 *
 *     open [name=number...]   -> open CODE          carbond_options members
 *     run [ID]                -> run CODE ID        the run of what follows
 *     resume ID               -> resume CODE
 *     emit COUNT              -> emit ACCEPTED REFUSED
 *     sync COUNT              -> sync CODE ID       a line for each, as soon as it returns
 *     flush MS                -> flush CODE
 *     token TOKEN             -> token CODE
 *     stats                   -> stats {JSON}
 *     fork                    -> fork PID           the child goes on with the rest of the input; the parent waits for it
 *     free                    -> free
 *     close                   -> close CODE */
#include "carbond.h"
#include "forked.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uuid/uuid.h>

static carbond_client *client;
static carbond_run *run;

static void log_line(void *user, int level, const char *message) {
    (void)user;
    fprintf(stderr, "%d %s\n", level, message);
}

/* -- commands ---------------------------------------------------------------------------------------------------------------- */

#define NUMBER(name)                                                                                         \
    { #name, offsetof(carbond_options, name), sizeof(((carbond_options *)0)->name) }
static const struct {
    const char *name;
    size_t offset, size;
} NUMBERS[] = {
    NUMBER(server),        NUMBER(fsync),     NUMBER(when_full),      NUMBER(adopt_all),
    NUMBER(max_bytes),     NUMBER(max_age),   NUMBER(flush_interval), NUMBER(connect_timeout),
    NUMBER(stall_timeout), NUMBER(retry_min), NUMBER(retry_max),      NUMBER(ring_capacity),
    NUMBER(batch_size),
};

static void set_option(carbond_options *options, const char *name, const char *value) {
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
        if (strcmp(NUMBERS[i].name, name) != 0)
            continue;
        int64_t number = strtoll(value, NULL, 10);
        void *place = (char *)options + NUMBERS[i].offset;
        if (NUMBERS[i].size == sizeof number)
            *(int64_t *)place = number;
        else
            *(int32_t *)place = (int32_t)number;
        return;
    }
    fprintf(stderr, "driver: no such option: %s\n", name);
    exit(2);
}

/* `rest` is what follows on the line. */
static void do_open(const char *rest) {
    char words[1024], *left;
    snprintf(words, sizeof words, "%s", rest);
    carbond_options options;
    carbond_options_init(&options, sizeof options);
    options.log = log_line;
    options.log_level = CARBOND_LOG_DEBUG;
    for (char *word = strtok_r(words, " ", &left); word; word = strtok_r(NULL, " ", &left)) {
        char *value = strchr(word, '=');
        if (!value)
            continue;
        *value++ = '\0';
        set_option(&options, word, value);
    }
    printf("open %d\n", carbond_open(&options, &client));
}

static void do_run(const char *rest) {
    carbond_run_info info;
    carbond_run_info_init(&info, sizeof info);
    info.os = "Linux";
    info.cpu_count = 2;
    if (*rest)
        info.id = rest;
    int code = carbond_run_start(client, &info, &run);
    printf("run %d %s\n", code, run ? carbond_run_id(run) : "-");
}

static void do_resume(const char *rest) {
    printf("resume %d\n", carbond_run_resume(client, rest, &run));
}

/* Each emission is worth 1 kg, so that sums count them. */
static void fill(carbond_emission *emission) {
    carbond_emission_init(emission, sizeof *emission);
    emission->duration = 1;
    emission->emissions_sum = 1;
    emission->emissions_rate = 1;
    emission->energy_consumed = 0.1;
    emission->cpu_power = 23.440629005749997;
    emission->cpu_energy = 2.3100183360436425e-05;
    emission->ram_utilization_percent = 3.4;
}

static void do_emit(const char *rest) {
    long accepted = 0, count = strtol(rest, NULL, 10);
    carbond_emission emission;
    fill(&emission);
    for (long i = 0; i < count; i++)
        accepted += carbond_emit(run, &emission) == CARBOND_OK;
    printf("emit %ld %ld\n", accepted, count - accepted);
}

static void do_sync(const char *rest) {
    long count = strtol(rest, NULL, 10);
    for (long i = 0; i < count; i++) {
        char id[UUID_STR_LEN];
        uuid_t bytes;
        carbond_emission emission;
        uuid_generate_random(bytes);
        uuid_unparse_lower(bytes, id);
        fill(&emission);
        emission.id = id;
        printf("sync %d %s\n", carbond_emit_sync(run, &emission), id);
        fflush(stdout);
    }
}

static void do_flush(const char *rest) {
    printf("flush %d\n", carbond_flush(client, strtoll(rest, NULL, 10)));
}

static void do_token(const char *rest) {
    printf("token %d\n", carbond_set_token(client, rest));
}

#define STAT(name)                                                                                           \
    { #name, offsetof(carbond_stats, name), sizeof(((carbond_stats *)0)->name) }
static const struct {
    const char *name;
    size_t offset, size;
} STATS[] = {
    STAT(emitted),       STAT(refused),         STAT(found),         STAT(delivered),      STAT(duplicates),
    STAT(rejected),      STAT(dropped),         STAT(lost),          STAT(pending),        STAT(spool_bytes),
    STAT(torn_segments), STAT(broken_segments), STAT(foreign_files), STAT(adopted_spools), STAT(requests),
    STAT(retries),       STAT(retry_in),        STAT(link),          STAT(http_status),    STAT(disk_errno),
    STAT(server),
};

static void do_stats(const char *rest) {
    carbond_stats stats;
    (void)rest;
    carbond_get_stats(client, &stats, sizeof stats);
    printf("stats {");
    for (size_t i = 0; i < sizeof STATS / sizeof *STATS; i++) {
        const void *place = (const char *)&stats + STATS[i].offset;
        int64_t number = STATS[i].size == 8 ? *(const int64_t *)place : *(const int32_t *)place;
        printf("%s\"%s\": %" PRId64, i ? ", " : "", STATS[i].name, number);
    }
    printf("}\n");
}

static void do_fork(const char *rest) {
    (void)rest;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        forked_child_begins();
        return;
    }
    int status;
    waitpid(child, &status, 0);
    printf("fork %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void do_free(const char *rest) {
    (void)rest;
    carbond_run_free(run);
    run = NULL;
    printf("free\n");
}

static void do_close(const char *rest) {
    (void)rest;
    printf("close %d\n", carbond_close(client));
    client = NULL;
}

static const struct {
    const char *name;
    void (*act)(const char *rest);
} COMMANDS[] = {
    {"open", do_open}, {"run", do_run},     {"resume", do_resume}, {"emit", do_emit},
    {"sync", do_sync}, {"flush", do_flush}, {"token", do_token},   {"stats", do_stats},
    {"fork", do_fork}, {"free", do_free},   {"close", do_close},
};

static void obey(char *line) {
    line[strcspn(line, "\n")] = '\0';
    char *rest = line + strcspn(line, " ");
    if (*rest)
        *rest++ = '\0';
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (strcmp(COMMANDS[i].name, line) != 0)
            continue;
        COMMANDS[i].act(rest);
        fflush(stdout);
        return;
    }
    fprintf(stderr, "driver: no such command: %s\n", line);
    exit(2);
}

int main(void) {
    char line[1024];
    while (fgets(line, sizeof line, stdin))
        obey(line);
    return 0;
}
