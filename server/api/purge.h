/* Removes what deleted projects leave, in the background and in small chunks, so that nothing waits for it. */
#pragma once

#include "db/connection.h"

struct purge;

/* Starts a thread with a connection of its own. A project's rows go once it has been deleted for longer than any
 * statement may run that could still write below it. NULL when out of memory or threads. */
struct purge *purge_start(const struct db_settings *settings);

/* Ends after the chunk at hand. */
void purge_stop(struct purge *purge);
