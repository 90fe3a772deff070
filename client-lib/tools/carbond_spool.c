/* carbond-spool: looks into a spool, and drains it. */
#include "programs.h"
#include "session.h"
#include "survey.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static const char PROGRAM[] = "carbond-spool";

static int told(const char *directory, int problem) {
    if (problem != 0)
        fprintf(stderr, "%s: %s: %s\n", PROGRAM, directory, strerror(problem));
    return problem == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* -- list ---------------------------------------------------------------------------------------------------------------- */

struct listing {
    unsigned segments;
    uint64_t waiting, done, bytes;
    int64_t oldest; /* microseconds since 1970, or 0 */
};

static void add_segment(void *context, const struct surveyed *segment) {
    struct listing *listing = context;
    const struct segment_survey *survey = &segment->survey;
    listing->segments++;
    if (segment->problem != 0)
        return;
    listing->waiting += survey->emissions - survey->emissions_settled;
    listing->done += survey->emissions_settled;
    listing->bytes += survey->size;
    if (survey->made > 0 && (listing->oldest == 0 || survey->made < listing->oldest))
        listing->oldest = survey->made;
}

static void print_spool(void *context, const struct surveyed_spool *spool) {
    struct listing *listing = context;
    char oldest[32] = "-";
    time_t seconds = (time_t)(listing->oldest / 1000000);
    struct tm parts;
    if (listing->oldest > 0 && gmtime_r(&seconds, &parts))
        strftime(oldest, sizeof oldest, "%Y-%m-%dT%H:%M:%SZ", &parts);
    printf("%-45s %-6s %8u %10" PRIu64 " %10" PRIu64 " %12" PRIu64 " %s\n", spool->name,
           spool->is_live ? "live" : "orphan", listing->segments, listing->waiting, listing->done,
           listing->bytes, oldest);
    *listing = (struct listing){0};
}

static void print_aside(void *context, const char *directory, const char *name) {
    (void)context;
    printf("%s/%s\n", directory, name);
}

static int list(struct arguments *arguments) {
    struct listing listing = {0};
    const char *directory = arguments->options.spool_dir;
    struct surveyor spools = {.context = &listing, .segment = add_segment, .spool = print_spool};
    struct surveyor asides = {.aside = print_aside};
    printf("%-45s %-6s %8s %10s %10s %12s %s\n", "spool", "state", "segments", "waiting", "done", "bytes",
           "oldest");
    int problem = survey_spool(directory, &spools);
    return told(directory, problem != 0 ? problem : survey_spool(directory, &asides));
}

/* -- verify -------------------------------------------------------------------------------------------------------------- */

/* What looks torn while a process writes to it is whole a moment later. */
static bool is_whole(const struct surveyed *segment) {
    const struct segment_survey *survey = &segment->survey;
    return segment->problem == 0 && survey->damages == 0 && (!survey->torn || segment->is_live);
}

static void print_segment(void *context, const struct surveyed *segment) {
    bool *whole = context;
    const struct segment_survey *survey = &segment->survey;
    *whole &= is_whole(segment);
    printf("%s/%s: ", segment->spool, segment->name);
    if (segment->problem != 0)
        printf("can't be read: %s\n", strerror(segment->problem));
    else if (survey->kind == SEGMENT_NEWER)
        printf("of a newer version\n");
    else
        printf("%s, %" PRIu32 " records, %" PRIu32 " emissions waiting, %" PRIu64 " bytes lost\n",
               survey->damages > 0                 ? "damaged"
               : survey->torn && !segment->is_live ? "torn"
                                                   : "whole",
               survey->records, survey->emissions - survey->emissions_settled, survey->lost);
}

static int verify(struct arguments *arguments) {
    bool whole = true;
    struct surveyor surveyor = {.context = &whole, .segment = print_segment};
    int status = told(arguments->options.spool_dir, survey_spool(arguments->options.spool_dir, &surveyor));
    return whole ? status : EXIT_FAILED;
}

/* -- flush --------------------------------------------------------------------------------------------------------------- */

static int flush(struct arguments *arguments) {
    struct surveyor nothing = {0};
    int status = told(arguments->options.spool_dir, survey_spool(arguments->options.spool_dir, &nothing));
    if (status != EXIT_DONE)
        return status; /* the library would make one */
    carbond_client *client = session_open(arguments, PROGRAM);
    if (!client)
        return EXIT_USAGE;
    carbond_stats stats;
    int flushed = carbond_flush(client, (int64_t)(arguments->wait * 1000));
    carbond_get_stats(client, &stats, sizeof stats);
    printf("%" PRIu64 " found, %" PRIu64 " delivered, %" PRIu64 " rejected, %" PRIu64 " left\n", stats.found,
           stats.delivered, stats.rejected, stats.pending);
    arguments->wait = 0; /* it has been waited for */
    status = session_end(client, arguments, PROGRAM);
    return status == EXIT_DONE && flushed != CARBOND_OK ? EXIT_LATER : status;
}

/* -- the command line ---------------------------------------------------------------------------------------------------- */

static const struct program_command COMMANDS[] = {
    {"list", SPOOL_LIST, list, "tell what waits in a spool, and what was set aside"},
    {"flush", SPOOL_FLUSH, flush, "deliver what ended processes have left there"},
    {"verify", SPOOL_VERIFY, verify, "read every record, and tell what is damaged"},
};

static const char NOTES[] = "Spools that a process works on (live) are left to it. What was refused by a "
                            "server is in DIR/rejected, what\n"
                            "was damaged in DIR/broken.\n\n"
                            "Exit status: 0 done, 1 failed, rejected or damaged, 2 wrong usage or "
                            "configuration, 3 not all is delivered.\n";

int main(int argc, char **argv) {
    const struct program program = {
        .name = PROGRAM,
        .summary = "looks into the spool of libcarbond, and drains it.",
        .operands = " DIR",
        .commands = COMMANDS,
        .count = sizeof COMMANDS / sizeof *COMMANDS,
        .notes = NOTES,
    };
    return program_main(&program, argc, argv);
}
