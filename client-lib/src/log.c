#include "log.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_SIZE = 1024 };

void log_init(struct log *log, carbond_log_function function, void *user, int level) {
    log->function = function;
    log->user = user;
    log->level = level;
    pthread_mutex_init(&log->lock, NULL);
}

void log_destroy(struct log *log) {
    pthread_mutex_destroy(&log->lock);
}

void log_write(struct log *log, int level, const char *format, ...) {
    if (!log->function || level > log->level)
        return;
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < ' ')
            *c = ' '; /* what a server says must not look like lines of ours */
    pthread_mutex_lock(&log->lock);
    log->function(log->user, level, line);
    pthread_mutex_unlock(&log->lock);
}
