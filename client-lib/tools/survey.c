#include "survey.h"

#include "id.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { NAME_HEAD = 9 /* the checksum of a URL, and "-" */ };

static int is_shown(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* Calls `visit` for each name in a directory, in their order. 0, or an errno. */
static int each(int directory, void (*visit)(void *context, int directory, const char *name), void *context) {
    struct dirent **entries;
    int count = scandirat(directory, ".", &entries, is_shown, alphasort);
    if (count < 0)
        return errno;
    for (int i = 0; i < count; i++) {
        visit(context, directory, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

/* The kernel knows. The lock is shared, and held for a moment only. */
static bool is_locked(int directory) {
    int lock = openat(directory, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool locked = lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (lock >= 0)
        close(lock);
    return locked;
}

struct walk {
    const struct surveyor *surveyor;
    struct segment_reader reader;
    const char *spool;
    bool is_live;
};

static void visit_segment(void *context, int directory, const char *name) {
    struct walk *walk = context;
    struct surveyed segment = {.spool = walk->spool, .name = name, .is_live = walk->is_live};
    uint64_t number;
    if (!segment_parse_name(name, &number))
        return;
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return; /* its owner was done with it just now */
    if (fd < 0 || !segment_survey(&walk->reader, fd, &segment.survey, NULL, NULL))
        segment.problem = errno;
    if (fd >= 0)
        close(fd);
    walk->surveyor->segment(walk->surveyor->context, &segment);
}

static void visit_aside(void *context, int directory, const char *name) {
    const struct walk *walk = context;
    (void)directory;
    walk->surveyor->aside(walk->surveyor->context, walk->spool, name);
}

static void visit_directory(void *context, int root, const char *name) {
    struct walk *walk = context;
    const struct surveyor *surveyor = walk->surveyor;
    struct id id;
    bool is_aside = strcmp(name, "rejected") == 0 || strcmp(name, "broken") == 0;
    bool is_spool = strlen(name) > NAME_HEAD && name[NAME_HEAD - 1] == '-' && id_parse(name + NAME_HEAD, &id);
    int directory =
        is_aside || is_spool ? openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (directory < 0)
        return;
    walk->spool = name;
    walk->is_live = is_spool && is_locked(directory);
    if (is_aside && surveyor->aside)
        each(directory, visit_aside, walk);
    if (is_spool && surveyor->segment)
        each(directory, visit_segment, walk);
    if (is_spool && surveyor->spool)
        surveyor->spool(surveyor->context, &(struct surveyed_spool){name, walk->is_live});
    close(directory);
}

int survey_spool(const char *path, const struct surveyor *surveyor) {
    struct walk walk = {.surveyor = surveyor};
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return errno;
    int problem = segment_reader_init(&walk.reader) ? 0 : ENOMEM;
    if (problem == 0) {
        problem = each(root, visit_directory, &walk);
        segment_reader_destroy(&walk.reader);
    }
    close(root);
    return problem;
}
