/* What the server does for its database by itself: makes partitions before their months come, removes what deleted
 * projects leave, what has expired, and emissions that are older than they are kept; and reads what projects emitted
 * (jobs.h). One thread with a connection of its own does it all in small steps, in turn, so that nobody waits for it and no
 * job for the end of another. Several server processes may do it at once. */
#pragma once

#include "base/age.h"
#include "db/connection.h"

struct upkeep;

struct upkeep_settings {
    const struct db_settings *database; /* of the statements that serve requests; must outlive the thread */
    int partitions_ahead;               /* months after this one whose partitions are made */
    int audit_keep;                     /* days that audit records are kept */
    struct age retention;               /* how long emissions are kept; of 0: for good */
    int metrics_projects;               /* whose totals are told in /metrics (project_totals.h) */
};

/* Starts the thread, and waits for nothing. NULL when out of memory or threads. What fails later is logged and tried
 * again. */
struct upkeep *upkeep_start(const struct upkeep_settings *settings);

/* Breaks off the step at hand, which is as if it had not begun. NULL is fine. */
void upkeep_stop(struct upkeep *upkeep);
