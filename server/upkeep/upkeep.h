/* What the server does for its database by itself: makes partitions before their months come, removes what deleted
 * projects leave and what has expired (jobs.h). One thread with a connection of its own does it all in small steps, in
 * turn, so that nobody waits for it and no job for the end of another. Several server processes may do it at once. */
#pragma once

#include "db/connection.h"

struct upkeep;

struct upkeep_settings {
    const struct db_settings *database; /* of the statements that serve requests; must outlive the thread */
    int partitions_ahead;               /* months after this one whose partitions are made */
    int audit_keep;                     /* days that audit records are kept */
};

/* Starts the thread, and waits for nothing. NULL when out of memory or threads. What fails later is logged and tried
 * again. */
struct upkeep *upkeep_start(const struct upkeep_settings *settings);

/* Breaks off the step at hand, which is as if it had not begun. NULL is fine. */
void upkeep_stop(struct upkeep *upkeep);
