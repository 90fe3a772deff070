#include "base/process.h"

#include "base/file.h"
#include "base/metric.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* METRIC_UNKNOWN where it could not be read. */
struct figures {
    int64_t cpu; /* microseconds */
    int64_t resident;
    int64_t virtual;
    int64_t started; /* microseconds since 1970-01-01T00:00:00Z */
    int64_t open_fds;
    int64_t max_fds;
    int64_t threads;
};

/* ---- /proc/self/stat */

/* Of the words behind the program's name, which stands in brackets and may hold anything; proc(5) counts from 1, and the
 * first word behind the name is number 3. */
enum stat_field {
    STAT_UTIME = 14,
    STAT_STIME,
    STAT_THREADS = 20,
    STAT_START = 22,
    STAT_VIRTUAL,
    STAT_RESIDENT,
    STAT_END
};

enum { STAT_FIRST = 3 };

static bool read_stat(int64_t fields[STAT_END]) {
    char text[1024] = "", *rest;
    if (file_read("/proc/self/stat", text, sizeof text - 1, NULL) < 0)
        return false;
    char *behind_name = strrchr(text, ')');
    if (!behind_name)
        return false;
    int field = STAT_FIRST;
    for (char *word = strtok_r(behind_name + 1, " ", &rest); word && field < STAT_END;
         word = strtok_r(NULL, " ", &rest))
        fields[field++] = strtoll(word, NULL, 10);
    return field == STAT_END;
}

/* ---- when the machine was started */

static pthread_once_t boot_once = PTHREAD_ONCE_INIT;
static int64_t boot_seconds = METRIC_UNKNOWN;

/* Once: the file is long on a machine with many processors, and the time that a process began should not change. */
static void read_boot_time(void) {
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen("/proc/stat", "re");
    while (file && getline(&line, &room, file) > 0)
        if (strncmp(line, "btime ", 6) == 0)
            boot_seconds = strtoll(line + 6, NULL, 10);
    free(line);
    if (file)
        fclose(file);
}

static int64_t start_time(int64_t after_boot) {
    pthread_once(&boot_once, read_boot_time);
    return boot_seconds == METRIC_UNKNOWN ? METRIC_UNKNOWN : boot_seconds * 1000000 + after_boot;
}

static void read_usage(struct figures *figures) {
    int64_t fields[STAT_END];
    long ticks = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
    if (ticks <= 0 || page <= 0 || !read_stat(fields))
        return;
    figures->cpu = (fields[STAT_UTIME] + fields[STAT_STIME]) * 1000000 / ticks;
    figures->started = start_time(fields[STAT_START] * 1000000 / ticks);
    figures->threads = fields[STAT_THREADS];
    figures->virtual = fields[STAT_VIRTUAL];
    figures->resident = fields[STAT_RESIDENT] * page;
}

/* ---- file descriptors */

static void count_descriptors(struct figures *figures) {
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return;
    figures->open_fds = -1; /* the directory's own */
    struct dirent *entry;
    while ((entry = readdir(directory)))
        figures->open_fds += entry->d_name[0] != '.';
    closedir(directory);
}

static void read_descriptor_limit(struct figures *figures) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        figures->max_fds = (int64_t)limit.rlim_cur;
}

/* The limit that most processes start with is as low as 1024, for the sake of select(). */
bool process_want_descriptors(size_t count) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    if (limit.rlim_cur >= count)
        return true;
    bool granted = limit.rlim_max >= count;
    limit.rlim_cur = granted ? count : limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 && granted;
}

/* ---- the text */

#define AT(member) offsetof(struct figures, member)

static const struct {
    struct metric_family family;
    size_t offset;
} table[] = {
    {{"process_cpu_seconds_total", "Processor time, of user and system.", METRIC_COUNTER,
      METRIC_MICROSECONDS},
     AT(cpu)},
    {{"process_resident_memory_bytes", "Memory that is in RAM.", METRIC_GAUGE, METRIC_NUMBER}, AT(resident)},
    {{"process_virtual_memory_bytes", "Address space.", METRIC_GAUGE, METRIC_NUMBER}, AT(virtual)},
    {{"process_start_time_seconds", "When it was started, since 1970.", METRIC_GAUGE, METRIC_MICROSECONDS},
     AT(started)},
    {{"process_open_fds", "File descriptors that are open.", METRIC_GAUGE, METRIC_NUMBER}, AT(open_fds)},
    {{"process_max_fds", "File descriptors that may be open.", METRIC_GAUGE, METRIC_NUMBER}, AT(max_fds)},
    {{"process_threads", "Threads.", METRIC_GAUGE, METRIC_NUMBER}, AT(threads)},
};

void process_metrics_write(struct buffer *out) {
    struct figures figures = {METRIC_UNKNOWN, METRIC_UNKNOWN, METRIC_UNKNOWN, METRIC_UNKNOWN,
                              METRIC_UNKNOWN, METRIC_UNKNOWN, METRIC_UNKNOWN};
    read_usage(&figures);
    count_descriptors(&figures);
    read_descriptor_limit(&figures);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        metric_write_family(out, &table[i].family);
        metric_write_sample(out, &table[i].family, NULL,
                            *(const int64_t *)((const char *)&figures + table[i].offset));
    }
}
