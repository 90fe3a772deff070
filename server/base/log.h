/* The log: one line an event on standard error, as logfmt or JSON. Lines are written with a single write(2), so
 * that those of several threads do not mix; a line beyond 8 KiB is cut. May be called from any thread.
 *
 *     log_info("listening", "address", "127.0.0.1:8008");
 *     ts=2026-11-23T17:40:00.123Z level=info msg=listening address=127.0.0.1:8008
 *
 * Never log a secret: no token, password, session, cookie or database URL. */
#pragma once

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

/* Before threads start. The default is info, logfmt. */
void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/* A message, pairs of a key and its text (const char *), and NULL. A pair whose text is NULL is left out. */
void log_write(enum log_level level, const char *message, ...) __attribute__((sentinel));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__, (const char *)0)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__, (const char *)0)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__, (const char *)0)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__, (const char *)0)

/* For numbers among the pairs: log_info("stopped", "requests", log_number(n).text). */
struct log_number {
    char text[24];
};
struct log_number log_number(long long number);
