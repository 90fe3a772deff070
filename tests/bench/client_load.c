/* What the client library costs the program that embeds it: prints a line of JSON.
 *
 *     client_load emit THREADS CALLS_A_SECOND SECONDS    how long carbond_emit takes to accept (0 calls: as many as it can)
 *     client_load sync THREADS SECONDS                   carbond_emit_sync, with CARBOND_FSYNC_EVERY
 *     client_load fsync THREADS SECONDS                  the same of a file where each call has a fdatasync of its own
 *     client_load fill RUNS EMISSIONS                    a backlog: emits it and ends
 *     client_load drain                                  sends what is there, and says how long it took
 *     client_load curl                                   as many connections by libcurl alone: the memory that it takes
 *
 * CARBOND_URL, CARBOND_SPOOL_DIR and the rest come from the environment. */
#include "carbond.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MOST = 64, SAMPLES = 4 * 1000 * 1000, RECORD = 165 };

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* -- counting allocations ---------------------------------------------------------------------------------------------------- */

void *__libc_malloc(size_t size);
static _Thread_local bool watched;
static atomic_long allocations;

void *malloc(size_t size) {
    if (watched)
        atomic_fetch_add(&allocations, 1);
    return __libc_malloc(size);
}

/* -- what all measures share ------------------------------------------------------------------------------------------------- */

static carbond_client *client;
static atomic_bool stop;

static void die(const char *what) {
    fprintf(stderr, "client_load: %s\n", what);
    exit(1);
}

static void open_client(void) {
    if (carbond_open(NULL, &client) != CARBOND_OK)
        die("the client does not open");
}

static carbond_run *start_run(void) {
    carbond_run *run;
    int code = carbond_run_start(client, NULL, &run);
    if (code != CARBOND_OK)
        die(carbond_strerror(code));
    return run;
}

static carbond_emission measured(void) {
    carbond_emission emission;
    carbond_emission_init(&emission, sizeof emission);
    emission.duration = 15;
    emission.emissions_sum = 1.9181295845832085e-06;
    emission.emissions_rate = 9.572650655239563e-07;
    emission.energy_consumed = 3.422847632154764e-05;
    emission.cpu_power = 23.440629005749997;
    emission.gpu_power = 0;
    emission.ram_power = 20;
    emission.cpu_energy = 2.3100183360436425e-05;
    emission.gpu_energy = 0;
    emission.ram_energy = 1.1128292961111207e-05;
    emission.cpu_utilization_percent = 7.459999999999999;
    emission.ram_utilization_percent = 3.4;
    return emission;
}

struct worker {
    pthread_t thread;
    int64_t pause; /* ns between calls */
    uint32_t *samples;
    size_t count, most, refused;
    int fd;
};

static struct worker workers[THREADS_MOST];

static void run_workers(int threads, double seconds, void *(*work)(void *)) {
    for (int i = 0; i < threads; i++)
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            die("no thread");
    usleep((useconds_t)(seconds * 1e6));
    atomic_store(&stop, true);
    for (int i = 0; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
}

static size_t sum_of_counts(int threads) {
    size_t sum = 0;
    for (int i = 0; i < threads; i++)
        sum += workers[i].count;
    return sum;
}

/* -- emit -------------------------------------------------------------------------------------------------------------------- */

static void *emit(void *context) {
    struct worker *worker = context;
    carbond_run *run = start_run();
    carbond_emission emission = measured();
    int64_t due = now();
    while (!atomic_load_explicit(&stop, memory_order_relaxed) && worker->count < worker->most) {
        while (worker->pause > 0 && now() < due)
            usleep(50);
        due += worker->pause;
        watched = true;
        int64_t before = now();
        int code = carbond_emit(run, &emission);
        int64_t took = now() - before;
        watched = false;
        if (code == CARBOND_OK)
            worker->samples[worker->count++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
        else
            worker->refused++;
    }
    return NULL;
}

static int compare(const void *a, const void *b) {
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    return (one > other) - (one < other);
}

static void measure_emit(int threads, double rate, double seconds) {
    uint32_t *samples = calloc(SAMPLES, sizeof *samples);
    if (!samples)
        die("no memory");
    open_client();
    for (int i = 0; i < threads; i++) {
        workers[i].most = SAMPLES / (size_t)threads;
        workers[i].samples = samples + (size_t)i * workers[i].most;
        workers[i].pause = rate > 0 ? (int64_t)(1e9 * threads / rate) : 0;
    }
    run_workers(threads, seconds, emit);
    size_t count = 0, refused = 0;
    for (int i = 0; i < threads; i++) {
        memmove(samples + count, workers[i].samples, workers[i].count * sizeof *samples);
        count += workers[i].count;
        refused += workers[i].refused;
    }
    qsort(samples, count, sizeof *samples, compare);
    printf("{\"accepted\": %zu, \"refused\": %zu, \"p50_ns\": %u, \"p99_ns\": %u, \"p999_ns\": %u, "
           "\"allocations\": %ld}\n",
           count, refused, samples[count / 2], samples[count * 99 / 100], samples[count * 999 / 1000],
           atomic_load(&allocations));
    free(samples);
    carbond_close(client);
}

/* -- sync -------------------------------------------------------------------------------------------------------------------- */

static void *emit_sync(void *context) {
    struct worker *worker = context;
    carbond_run *run = start_run();
    carbond_emission emission = measured();
    for (; !atomic_load(&stop); worker->count++)
        if (carbond_emit_sync(run, &emission) != CARBOND_OK)
            die("not accepted");
    return NULL;
}

static void measure_sync(int threads, double seconds) {
    open_client();
    run_workers(threads, seconds, emit_sync);
    printf("{\"calls_a_second\": %.0f}\n", (double)sum_of_counts(threads) / seconds);
    carbond_close(client);
}

static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER;

static void *write_and_fsync(void *context) {
    struct worker *worker = context;
    static const char record[RECORD];
    for (; !atomic_load(&stop); worker->count++) {
        pthread_mutex_lock(&file_lock);
        if (write(worker->fd, record, sizeof record) != sizeof record || fdatasync(worker->fd) != 0)
            die("not written");
        pthread_mutex_unlock(&file_lock);
    }
    return NULL;
}

static void measure_fsync(int threads, double seconds) {
    char path[4096];
    snprintf(path, sizeof path, "%s.fsync", getenv("CARBOND_SPOOL_DIR"));
    int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        die("no file");
    for (int i = 0; i < threads; i++)
        workers[i].fd = fd;
    run_workers(threads, seconds, write_and_fsync);
    unlink(path);
    printf("{\"calls_a_second\": %.0f}\n", (double)sum_of_counts(threads) / seconds);
}

/* -- backlogs ---------------------------------------------------------------------------------------------------------------- */

static void fill(int runs, long emissions) {
    carbond_emission emission = measured();
    open_client();
    carbond_run **all = calloc((size_t)runs, sizeof(carbond_run *));
    if (!all)
        die("no memory");
    for (int i = 0; i < runs; i++)
        all[i] = start_run();
    for (long i = 0; i < emissions; i++)
        while (carbond_emit(all[i % runs], &emission) == CARBOND_FULL)
            usleep(1000);
    free(all);
    carbond_close(client);
}

/* The most memory that this program has had; getrusage would count what its parent had. */
static long peak_memory_kb(void) {
    char line[256];
    long peak = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak = strtol(line + 6, NULL, 10);
    if (status)
        fclose(status);
    return peak;
}

static void drain(void) {
    carbond_stats stats;
    struct rusage usage;
    long before_kb = peak_memory_kb();
    open_client();
    int64_t before = now();
    if (carbond_flush(client, -1) != CARBOND_OK)
        die("not drained");
    double took = (double)(now() - before) / 1e9;
    carbond_get_stats(client, &stats, sizeof stats);
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"delivered\": %" PRIu64 ", \"seconds\": %.2f, \"rows_a_second\": %.0f, \"requests\": %" PRIu64
           ", \"cpu_seconds\": %.2f, \"before_kb\": %ld, \"memory_kb\": %ld}\n",
           stats.delivered, took, (double)stats.delivered / took, stats.requests,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
           before_kb, peak_memory_kb());
    carbond_close(client);
}

/* -- libcurl alone ----------------------------------------------------------------------------------------------------------- */

enum { CONNECTIONS = 2, BODY = 64 * 1024 };

static void measure_curl(void) {
    static char body[BODY + 1];
    long before_kb = peak_memory_kb();
    CURL *easy[CONNECTIONS];
    CURLM *multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
    FILE *nowhere = fopen("/dev/null", "we");
    if (!multi || !nowhere)
        die("no libcurl");
    memset(body, ' ', BODY);
    for (int i = 0; i < CONNECTIONS; i++) {
        easy[i] = curl_easy_init();
        if (!easy[i] || curl_easy_setopt(easy[i], CURLOPT_URL, getenv("CARBOND_URL")) != CURLE_OK ||
            curl_easy_setopt(easy[i], CURLOPT_POSTFIELDS, body) != CURLE_OK ||
            curl_easy_setopt(easy[i], CURLOPT_WRITEDATA, nowhere) != CURLE_OK ||
            curl_multi_add_handle(multi, easy[i]) != CURLM_OK)
            die("no request");
    }
    int running;
    do {
        curl_multi_perform(multi, &running);
        curl_multi_poll(multi, NULL, 0, 100, NULL);
    } while (running > 0);
    printf("{\"before_kb\": %ld, \"memory_kb\": %ld}\n", before_kb, peak_memory_kb());
    for (int i = 0; i < CONNECTIONS; i++) {
        curl_multi_remove_handle(multi, easy[i]);
        curl_easy_cleanup(easy[i]);
    }
    curl_multi_cleanup(multi);
    fclose(nowhere);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "emit") == 0 && argc == 5)
        measure_emit(atoi(argv[2]), atof(argv[3]), atof(argv[4])); /* NOLINT(cert-err34-c) */
    else if (strcmp(what, "sync") == 0 && argc == 4)
        measure_sync(atoi(argv[2]), atof(argv[3])); /* NOLINT(cert-err34-c) */
    else if (strcmp(what, "fsync") == 0 && argc == 4)
        measure_fsync(atoi(argv[2]), atof(argv[3])); /* NOLINT(cert-err34-c) */
    else if (strcmp(what, "fill") == 0 && argc == 4)
        fill(atoi(argv[2]), atol(argv[3])); /* NOLINT(cert-err34-c) */
    else if (strcmp(what, "drain") == 0 && argc == 2)
        drain();
    else if (strcmp(what, "curl") == 0 && argc == 2)
        measure_curl();
    else
        die("usage: emit THREADS RATE SECONDS | sync THREADS SECONDS | fsync THREADS SECONDS | fill RUNS N | "
            "drain | curl");
    return 0;
}
