/* What the library has to say, for the callback of the program that embeds it. */
#pragma once

#include "carbond.h"

#include <pthread.h>

struct log {
    carbond_log_function function; /* may be NULL */
    void *user;
    int level;            /* what is logged at most */
    pthread_mutex_t lock; /* one call at a time; nothing else is locked under it */
};

void log_init(struct log *log, carbond_log_function function, void *user, int level);
void log_destroy(struct log *log);

/* A line; what is longer than some hundred bytes is cut. */
__attribute__((format(printf, 3, 4))) void log_write(struct log *log, int level, const char *format, ...);
