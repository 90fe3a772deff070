/* The first start on an empty database (--first-admin). */
#pragma once

#include "db/connection.h"

/* If there is no user: adds one with this address and a random password, an organization that they are the admin of, and in
 * it a project, an experiment and a token for trackers; and prints all that to standard output, once it is committed. One
 * statement does it, so that all of it is done or nothing, and by one of the processes that try at once. */
enum db_outcome first_admin_make(struct db *db, const char *email);
