#include "clock.h"
#include "directory.h"
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One file for each client, so that no two write to one. */
static int open_rejected(struct spool *spool) {
    char name[SPOOL_NAME_SIZE + sizeof ".ndjson"];
    struct stat file;
    int problem = spool_place(spool);
    int directory = problem == 0 ? directory_make_below(spool->root, "rejected") : -1;
    if (directory < 0)
        return problem ? problem : errno;
    snprintf(name, sizeof name, "%s.ndjson", spool->name);
    spool->rejected = openat(directory, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    problem = spool->rejected < 0 ? errno : 0;
    spool->rejected_bytes = problem == 0 && fstat(spool->rejected, &file) == 0 ? (uint64_t)file.st_size : 0;
    if (problem == 0 && spool->fsync != CARBOND_FSYNC_NONE)
        fsync(directory);
    close(directory);
    return problem;
}

/* All in one write, so that no half line is left. What a full disk took of it is cut off again. */
static int write_line(struct spool *spool, const char *line, size_t length) {
    int problem = spool->rejected < 0 ? open_rejected(spool) : 0;
    if (problem != 0)
        return problem;
    ssize_t written = write(spool->rejected, line, length);
    if (written == (ssize_t)length) {
        spool->rejected_bytes += length;
        return 0;
    }
    problem = written < 0 ? errno : ENOSPC;
    if (written > 0 && ftruncate(spool->rejected, (off_t)spool->rejected_bytes) != 0)
        return EIO;
    return problem;
}

static char *print_rejected(const struct record *record, int status, const char *detail, size_t *length) {
    char at[CLOCK_TEXT_SIZE], emission[EMISSION_JSON_SIZE];
    const char *kind = "run", *body = record->json;
    size_t body_length = record->json_length;
    clock_format(clock_wall(), at);
    if (record->type == RECORD_EMISSION) {
        kind = "emission";
        body = emission;
        body_length = emission_print(&record->emission, &record->run, emission);
    }
    char *line = NULL;
    int size = asprintf(&line, "{\"at\":\"%s\",\"status\":%d,\"detail\":%s,\"%s\":%.*s}\n", at, status,
                        detail, kind, (int)body_length, body);
    *length = size < 0 ? 0 : (size_t)size;
    return size < 0 ? NULL : line;
}

bool spool_reject(struct spool *spool, const struct record *record, int status, const char *detail) {
    size_t length;
    char *line = print_rejected(record, status, detail, &length);
    if (!line)
        return false;
    int problem = spool->rejected_bytes + length > spool->max_bytes ? EFBIG : write_line(spool, line, length);
    /* Where there is no disk for it at all, the log is the last resort. A full one may take it later. */
    bool hopeless = problem != 0 && problem != ENOSPC && problem != EDQUOT;
    if (hopeless)
        log_write(spool->log, CARBOND_LOG_ERROR, "rejected/ can't be written (%s): %s", strerror(problem),
                  line);
    free(line);
    return problem == 0 || hopeless;
}

int spool_set_aside(struct spool *spool, int directory, const char *file) {
    char name[SPOOL_NAME_SIZE + NAME_MAX + 2];
    struct id id = id_new(spool->ids); /* what is broken may come from anywhere, under any name */
    char text[ID_TEXT_SIZE];
    int broken = directory_make_below(spool->root, "broken");
    if (broken < 0)
        return errno;
    id_format(&id, text);
    snprintf(name, sizeof name, "%s-%s", text, file);
    int problem = renameat(directory, file, broken, name) != 0 ? errno : 0;
    close(broken);
    if (problem == 0)
        log_write(spool->log, CARBOND_LOG_ERROR, "a damaged segment is set aside as %s/broken/%s",
                  spool->path, name);
    else
        log_write(spool->log, CARBOND_LOG_ERROR, "a damaged segment can't be set aside: %s",
                  strerror(problem));
    return problem;
}

void spool_remember_remote(struct spool *spool, const struct carbond_run *run) {
    char remote[ID_TEXT_SIZE];
    int directory = spool_open_root(spool) == 0 ? directory_make_below(spool->root, "runs") : -1;
    int file = directory < 0 ? -1
                             : openat(directory, run->text,
                                      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    id_format(&run->remote, remote);
    bool written = file >= 0 && write(file, remote, ID_TEXT_SIZE - 1) == ID_TEXT_SIZE - 1;
    if (written && spool->fsync != CARBOND_FSYNC_NONE)
        written = fdatasync(file) == 0 && fsync(directory) == 0;
    if (!written)
        log_write(spool->log, CARBOND_LOG_WARNING,
                  "the run %s is %s at the server, which can't be written down", run->text, remote);
    if (file >= 0)
        close(file);
    if (directory >= 0)
        close(directory);
}

void spool_recall_remote(struct spool *spool, struct carbond_run *run) {
    char path[sizeof "runs/" + ID_TEXT_SIZE], remote[ID_TEXT_SIZE] = "";
    if (run->recalled || spool_open_root(spool) != 0)
        return;
    run->recalled = true;
    snprintf(path, sizeof path, "runs/%s", run->text);
    int file = openat(spool->root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0)
        return;
    run->has_remote =
        read(file, remote, ID_TEXT_SIZE - 1) == ID_TEXT_SIZE - 1 && id_parse(remote, &run->remote);
    close(file);
}
