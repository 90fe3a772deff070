/* What the server does for its database by itself: makes partitions before their months come, removes what deleted
 * projects leave and what has expired (jobs.h). One thread with a connection of its own does it all in small steps, in
 * turn, so that nobody waits for it and no job for the end of another. Several server processes may do it at once. */
#pragma once

#include "db/connection.h"

struct upkeep;

/* Starts the thread, and waits for nothing. `settings` are those of the statements that serve requests, and must outlive
 * it. NULL when out of memory or threads. What fails later is logged and tried again. */
struct upkeep *upkeep_start(const struct db_settings *settings, int partitions_ahead);

/* Breaks off the step at hand, which is as if it had not begun. NULL is fine. */
void upkeep_stop(struct upkeep *upkeep);
