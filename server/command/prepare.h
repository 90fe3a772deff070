/* What a server does for its database before it serves: --migrate, --first-admin, --database-wait. */
#pragma once

#include "config.h"

/* Does what the options ask for, which may be nothing; EXIT_DONE, or what to exit with. A database that is away is waited
 * for, as long as the options allow, and so are locks; another server's migration, as long as it takes. A signal (they are
 * blocked) that asks the process to end ends the waiting; a migration that is under way is not broken off. Several servers
 * may do this at once: one works, the others wait for it. */
int prepare_database(const struct config *config);
