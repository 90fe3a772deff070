/* libcarbond: hand over what a program emitted, and forget about it.
 *
 *     carbond_client *client;
 *     carbond_run *run;
 *     carbond_emission emission;
 *
 *     if (carbond_open(NULL, &client) != CARBOND_OK)        // options from the environment and .codecarbon.config
 *         return EXIT_FAILURE;
 *     int code = carbond_run_start(client, NULL, &run);     // works offline: the run's id is chosen here
 *     if (code == CARBOND_OK || code == CARBOND_NOT_DURABLE) {
 *         carbond_emission_init(&emission, sizeof emission);
 *         emission.duration = 15.0;                         // s
 *         emission.emissions_sum = 1.9e-06;                 // kg CO2eq
 *         emission.energy_consumed = 3.4e-05;               // kWh
 *         carbond_emit(run, &emission);                     // microseconds, never blocks
 *         if (carbond_flush(client, 5000) != CARBOND_OK)    // optional: wait until the server has it all
 *             puts("the server is away");
 *     }
 *     carbond_close(client);                                // what is left waits on disk for the next start
 *
 * THE HOUSE. carbond_emit copies the emission into a ring in memory. One background thread writes the ring to the
 * spool, a directory of files, and sends batches from there: a spooled emission is deleted when the server has
 * acknowledged it, or moved to the spool's `rejected` directory when the server refuses it for good. Every run and every
 * emission has its id before it is written, and keeps it, so that it may be sent again and is still stored once.
 *
 * THREADS. Every function may be called from any thread, except where it says otherwise. After fork() without exec() a
 * client and its runs work in both processes: the child begins with nothing to send, and a spool of its own.
 *
 * OWNERSHIP. The library keeps no pointer that it is given, but for the log callback's: strings and structs are copied
 * before a function returns. What it returns as `const char *` belongs to the library.
 *
 * STRUCTS. Each public struct begins with its own size, which its _init function sets along with the defaults. A library
 * that is older or newer than the header one was compiled with goes by that size. Members are only ever added at the end.
 *
 * RESULTS. Functions that can fail return one of `enum carbond_code`. In the child of a fork() the first call starts a
 * background thread, which may fail: CARBOND_SYSTEM, or CARBOND_FULL where an emission was handed over.
 *
 * SYSTEMS. Linux with glibc, of either byte order, with 64-bit times; spools may be carried from one to another. */
#ifndef CARBOND_H
#define CARBOND_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define CARBOND_API    __attribute__((visibility("default")))
#define CARBOND_RESULT __attribute__((warn_unused_result))
#else
#define CARBOND_API
#define CARBOND_RESULT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What functions return. */
enum carbond_code {
    CARBOND_OK = 0,
    /* An argument is NULL, a number out of its range, a text no UUID or no UTF-8. Nothing was accepted. */
    CARBOND_INVALID = 1,
    /* There is no room: the ring is full since the disk is full or too slow, or the spool is at its cap and the policy
     * is to refuse. Nothing was accepted; it may be tried again later. */
    CARBOND_FULL = 2,
    /* Accepted, and not to be handed over again; but it is in memory alone, since the disk refuses it. It is sent, or
     * written when the disk takes it, while this process lives. */
    CARBOND_NOT_DURABLE = 3,
    /* The time was over before all was acknowledged. What is left is still spooled. */
    CARBOND_TIMEOUT = 4,
    /* Out of memory. Nothing was accepted; it may be tried again later. */
    CARBOND_NO_MEMORY = 5,
    /* An option is missing or wrong: the log callback has been told which. */
    CARBOND_CONFIG = 6,
    /* The system refuses a thread or the like. */
    CARBOND_SYSTEM = 7,
    /* carbond_close could not write down all that was accepted, since the disk refuses it: the log callback has been told how
     * many emissions and creations of runs are lost. */
    CARBOND_LOST = 8
};

/* What it speaks to. */
enum carbond_server {
    CARBOND_SERVER_AUTO = 0,    /* found out by the first answer to the creation of a run */
    CARBOND_SERVER_CARBOND = 1, /* carbond: batches, ids chosen here, each emission stored exactly once */
    CARBOND_SERVER_CODECARBON_1 = 2, /* CodeCarbon's own server, first generation: /run, /emission */
    /* The second: /runs, /emissions. Both: one request an emission, the server chooses the run's id, and an emission whose
     * answer was lost is stored twice. */
    CARBOND_SERVER_CODECARBON_2 = 3
};

/* When spooled data is forced to the disk (fdatasync). A process that is killed loses nothing that was spooled, whatever
 * is chosen here: this is about power cuts and crashes of the system. */
enum carbond_fsync {
    /* Before carbond_emit_sync returns; for carbond_emit, with each flush of the ring. */
    CARBOND_FSYNC_EVERY = 1,
    CARBOND_FSYNC_INTERVAL = 2, /* with each flush of the ring */
    CARBOND_FSYNC_NONE = 3      /* when the system sees fit */
};

/* What happens when the spool is at its cap. */
enum carbond_when_full {
    CARBOND_DROP_OLDEST = 1, /* drops are counted, logged, and told to the server as a figure of their runs */
    CARBOND_REFUSE = 2       /* the ring fills up, then CARBOND_FULL */
};

enum carbond_log_level {
    CARBOND_LOG_ERROR = 1,   /* data is lost, or set aside */
    CARBOND_LOG_WARNING = 2, /* something needs a person: a wrong token, a full disk */
    CARBOND_LOG_INFO = 3,    /* the server comes and goes, a spool is adopted */
    CARBOND_LOG_DEBUG = 4    /* each request. Never a token */
};

/* Called from the background thread, or from within any function here but carbond_emit; from one thread at a time. It may
 * not call the library, nor fork() or exit(). `message` is a line without its end, valid during the call. */
typedef void (*carbond_log_function)(void *user, int level, const char *message);

/* -- options ----------------------------------------------------------------------------------------------------------
 *
 * What is NULL or 0 here is taken from the environment, else from a .codecarbon.config, else is the default. What is set
 * here holds: no environment makes a program less careful than it wants to be.
 *
 *     member         environment             .codecarbon.config   default
 *     url            CARBOND_URL             api_endpoint         none: required
 *     token          CARBOND_TOKEN           api_key              none is sent
 *     experiment_id  CARBOND_EXPERIMENT_ID   experiment_id        none: each run must say it
 *     spool_dir      CARBOND_SPOOL_DIR                            $XDG_STATE_HOME/carbond, else ~/.local/state/carbond
 *     server         CARBOND_SERVER                               auto (or: carbond, codecarbon1, codecarbon2)
 *     fsync          CARBOND_FSYNC                                every (or: interval, none)
 *     when_full      CARBOND_WHEN_FULL                            drop-oldest (or: refuse)
 *     max_bytes      CARBOND_SPOOL_MAX_BYTES                      536870912
 *     max_age        CARBOND_SPOOL_MAX_AGE                        none
 *     log_level      CARBOND_LOG_LEVEL                            info (or: error, warning, debug)
 *     ca_file        CARBOND_CA_FILE                              those of the system
 *
 * .codecarbon.config is CodeCarbon's: an ini file with a section [codecarbon], looked for in the home directory and in
 * the working directory, whose values win. Proxies are taken from http_proxy, https_proxy, no_proxy. Certificates are
 * always verified. */
typedef struct carbond_options {
    size_t size;
    const char *url;           /* http(s)://host[:port][/path]; a path such as /api or /t/TOKEN is kept */
    const char *token;         /* sent as x-api-token, never logged, never spooled */
    const char *experiment_id; /* of runs that name none */
    const char *spool_dir; /* made if missing. Give programs that send to different projects different ones */
    const char *config_file; /* instead of the two .codecarbon.config files */
    const char *ca_file;     /* PEM: certificates to trust instead of the system's */
    int32_t server;          /* enum carbond_server */
    int32_t fsync;           /* enum carbond_fsync */
    int32_t when_full;       /* enum carbond_when_full */
    int32_t adopt_all;       /* not 0: adopt orphaned spools that were meant for other URLs as well */
    int64_t max_bytes;       /* the spool's cap */
    int64_t max_age;         /* s: what has been spooled for longer is dropped */
    int64_t flush_interval;  /* ms: how long an emission may wait in memory for the disk. Default 500 */
    int64_t connect_timeout; /* ms. Default 10000 */
    int64_t stall_timeout;   /* ms without a byte. Default 30000 */
    int64_t retry_min;       /* ms: the first retry comes within this. Default 1000 */
    int64_t retry_max;       /* ms: the ceiling of the exponential backoff. Default 300000 */
    int32_t ring_capacity;   /* emissions that may wait for the disk in memory. Default 8192, at most 65536 */
    int32_t batch_size;      /* emissions in a request. Default 1000, at most 10000 */
    int32_t log_level;       /* enum carbond_log_level: what is logged at most. Default CARBOND_LOG_INFO */
    carbond_log_function log; /* NULL: nothing is logged */
    void *log_user;           /* passed on to it */
} carbond_options;

/* All members NULL or 0. `size` is sizeof(carbond_options). */
CARBOND_API void carbond_options_init(carbond_options *options, size_t size);

/* -- the client ------------------------------------------------------------------------------------------------------ */

typedef struct carbond_client carbond_client;

/* Opens the spool and starts the background thread, which delivers what an earlier process left. Does no network I/O. A
 * spool that is broken, full, or not writable is no reason to fail: what is readable is delivered, what is not is set
 * aside and counted, and without any disk the client works in memory. `options` may be NULL.
 * CARBOND_OK; CARBOND_CONFIG, CARBOND_INVALID, CARBOND_NO_MEMORY, CARBOND_SYSTEM: there is no client then. */
CARBOND_API CARBOND_RESULT int carbond_open(const carbond_options *options, carbond_client **client);

/* Waits until everything accepted so far, and what was left by ended processes, has been acknowledged or rejected by the
 * server, or dropped; at most `timeout` ms (negative: without end). A retry that is due later is made at once, unless the
 * server asked for more time. With a `timeout` of 0 it only asks whether nothing is left, and hurries nothing.
 * CARBOND_OK; CARBOND_TIMEOUT; CARBOND_INVALID, CARBOND_SYSTEM. */
CARBOND_API CARBOND_RESULT int carbond_flush(carbond_client *client, int64_t timeout);

/* Writes what is in memory to the spool, ends the background thread and frees the client with all its runs. Waits for the
 * disk, never for the network. No other call on the client or its runs may be under way. NULL is allowed.
 * CARBOND_OK, CARBOND_LOST. */
CARBOND_API int carbond_close(carbond_client *client);

/* From now on this token is sent; a retry that waits because the old one was refused is made at once. NULL: none. Waits for a
 * short lock. CARBOND_OK; CARBOND_INVALID, CARBOND_NO_MEMORY, CARBOND_SYSTEM: the old one stays. */
CARBOND_API CARBOND_RESULT int carbond_set_token(carbond_client *client, const char *token);

/* -- runs ------------------------------------------------------------------------------------------------------------ */

typedef struct carbond_run carbond_run;

/* What a run is. Texts may be NULL: unknown. */
typedef struct carbond_run_info {
    size_t size;
    const char *id;            /* a UUID; NULL: one is made */
    const char *experiment_id; /* NULL: that of the options */
    int64_t timestamp;         /* its start, in microseconds since 1970-01-01T00:00:00Z; 0: now */
    const char *os;
    const char *python_version;
    const char *codecarbon_version; /* of the tracker */
    const char *cpu_model;
    const char *gpu_model;
    const char *region;
    const char *provider;      /* of the cloud */
    const char *tracking_mode; /* machine or process */
    int32_t cpu_count;         /* negative: unknown */
    int32_t gpu_count;         /* negative: unknown */
    double longitude;          /* degrees; NaN: unknown */
    double latitude;           /* degrees; NaN: unknown */
    double ram_total_size;     /* GB, >= 0; NaN: unknown */
} carbond_run_info;

/* All unknown. `size` is sizeof(carbond_run_info). */
CARBOND_API void carbond_run_info_init(carbond_run_info *info, size_t size);

/* Begins a run. Its creation is spooled before its first emission, and is sent before it. `info` may be NULL. The run
 * lives until carbond_run_free or carbond_close. Waits for the disk at most.
 * CARBOND_OK; CARBOND_NOT_DURABLE: the run is there, its creation in memory alone;
 * CARBOND_INVALID (no experiment, a text that is longer than 4096 bytes or no UTF-8), CARBOND_NO_MEMORY, CARBOND_SYSTEM: there
 * is no run, and `*run` is NULL. */
CARBOND_API CARBOND_RESULT int carbond_run_start(carbond_client *client, const carbond_run_info *info,
                                                 carbond_run **run);

/* Goes on with a run that was begun elsewhere, by this process or another one, and that the server knows or will know. Waits
 * for a short lock. CARBOND_OK; CARBOND_INVALID, CARBOND_NO_MEMORY: `*run` is NULL. */
CARBOND_API CARBOND_RESULT int carbond_run_resume(carbond_client *client, const char *run_id,
                                                  carbond_run **run);

/* The run's id: 36 characters, lower case. Valid as long as the run. NULL for NULL. */
CARBOND_API const char *carbond_run_id(const carbond_run *run);

/* Frees the handle. What was emitted with it is delivered all the same. No other call on this run may be under way. NULL
 * is allowed. */
CARBOND_API void carbond_run_free(carbond_run *run);

/* -- emissions ------------------------------------------------------------------------------------------------------- */

/* What was emitted since the emission before it. All numbers are from 0 to 1e290, or NaN: unknown. */
typedef struct carbond_emission {
    size_t size;
    const char *id;       /* a UUID; NULL: one is made. The same run, timestamp and id is the same emission */
    int64_t timestamp;    /* microseconds since 1970-01-01T00:00:00Z; 0: now */
    double duration;      /* s, since the emission before it: > 0, required */
    double emissions_sum; /* kg CO2eq */
    double emissions_rate;          /* kg CO2eq/s */
    double energy_consumed;         /* kWh: of CPU, GPU and RAM */
    double cpu_power;               /* W */
    double gpu_power;               /* W */
    double ram_power;               /* W */
    double cpu_energy;              /* kWh */
    double gpu_energy;              /* kWh */
    double ram_energy;              /* kWh */
    double cpu_utilization_percent; /* 0 to 100 */
    double gpu_utilization_percent; /* 0 to 100 */
    double ram_utilization_percent; /* 0 to 100 */
    double wue;                     /* water usage effectiveness, L/kWh */
} carbond_emission;

/* All unknown. `size` is sizeof(carbond_emission). */
CARBOND_API void carbond_emission_init(carbond_emission *emission, size_t size);

/* Takes an emission: copies it to memory, and returns within microseconds. No allocation, no lock, and no I/O but a byte
 * that wakes the background thread when it sleeps. It is on disk within the flush interval; until then a process that is
 * killed loses it (one that ends by exit() does not). Not to be called from a signal handler.
 * CARBOND_OK; CARBOND_INVALID, CARBOND_FULL: not accepted, and counted. */
CARBOND_API int carbond_emit(carbond_run *run, const carbond_emission *emission);

/* Takes an emission and returns when it is in the spool: written, so that it survives the process, and with
 * CARBOND_FSYNC_EVERY forced to the disk, so that it survives a power cut. Callers at the same time share one
 * fdatasync. It follows all that the same thread has emitted before. Waits for the disk, never for the network.
 * CARBOND_OK; CARBOND_NOT_DURABLE: accepted in memory alone; CARBOND_INVALID, CARBOND_FULL: not accepted. */
CARBOND_API CARBOND_RESULT int carbond_emit_sync(carbond_run *run, const carbond_emission *emission);

/* -- what it has done ------------------------------------------------------------------------------------------------ */

/* What stands in the way of delivery. */
enum carbond_link {
    CARBOND_LINK_IDLE = 0, /* nothing has been sent yet */
    CARBOND_LINK_UP = 1,   /* the last request was answered */
    CARBOND_LINK_DOWN = 2, /* the server cannot be reached, or asks to come later */
    CARBOND_LINK_UNAUTHORIZED =
        3,                   /* it refuses the token: everything is kept; others may adopt what was adopted */
    CARBOND_LINK_STRANGE = 4 /* what answers there does not speak as expected: everything is kept */
};

/* Counts since carbond_open, of emissions where nothing else is said. */
typedef struct carbond_stats {
    size_t size;
    uint64_t emitted;    /* accepted by carbond_emit and carbond_emit_sync */
    uint64_t refused;    /* CARBOND_FULL or CARBOND_INVALID was returned */
    uint64_t found;      /* left by other processes, and adopted for good */
    uint64_t delivered;  /* acknowledged by the server, stored now or before */
    uint64_t duplicates; /* of these: stored before */
    uint64_t rejected;   /* refused by the server for good, and moved to rejected/ */
    uint64_t
        dropped;   /* lost to the spool's caps; of what is being sent just then it is known a little later */
    uint64_t lost; /* otherwise: unreadable in a damaged file, which is set aside in broken/ */
    uint64_t pending;         /* in memory and in the spool: not yet delivered, rejected, or dropped */
    uint64_t spool_bytes;     /* the size of the spool's segments */
    uint64_t torn_segments;   /* files that ended in the middle of a record, as after a power cut: cut */
    uint64_t broken_segments; /* files that were damaged: what is readable goes on, the file to broken/ */
    uint64_t foreign_files;   /* files there that are none of the library's, or a newer one's: left alone */
    uint64_t adopted_spools;  /* directories of ended processes that this one took over */
    uint64_t requests;        /* sent */
    uint64_t retries;         /* requests that failed and are tried again */
    int64_t retry_in;         /* ms until the next attempt; 0: none is waited for */
    int32_t link;             /* enum carbond_link */
    int32_t http_status;      /* of the last answer; 0: none */
    int32_t disk_errno;       /* why the spool cannot be written now; 0: it can */
    int32_t server;           /* enum carbond_server: as told, or as found out */
} carbond_stats;

/* Fills the first `size` bytes, which is sizeof(carbond_stats). Waits for nothing but a short lock. A client that is NULL has
 * done nothing: zeros. */
CARBOND_API void carbond_get_stats(carbond_client *client, carbond_stats *stats, size_t size);

/* A sentence in English for a code. Never NULL. */
CARBOND_API const char *carbond_strerror(int code);

/* Whether the same call may succeed later: 1 or 0. */
CARBOND_API int carbond_is_retryable(int code);

/* The version of the library, as "0.1.0". */
CARBOND_API const char *carbond_version(void);

#ifdef __cplusplus
}
#endif

#endif
