/* What carbond asks of PostgreSQL beside each statement: its timeout, its time zone, how to plan. One table, and two ways to
 * say it: to the session as it begins, or, where a pooler may hand the next transaction to another session, to each
 * transaction. */
#pragma once

#include "base/buffer.h"

struct db_settings;

/* As the connection parameter `options`: after what the URL asks of the session itself. */
void session_write_options(const struct db_settings *settings, struct buffer *out);

/* A query of no parameters, true when the session has heeded the options: poolers can be told to ignore them, and then no
 * statement would ever time out. */
enum { SESSION_CHECK_SIZE = 96 };
void session_write_check(const struct db_settings *settings, char out[SESSION_CHECK_SIZE]);

/* Two statements without parameters, which hold until the transaction ends. The first must come before any query of
 * it, or find that nothing needs to change. */
#define SESSION_ISOLATION "set transaction_isolation = 'read committed'"
void session_write_local(const struct db_settings *settings, struct buffer *out);
