/* What a server does for its database before it serves: --migrate, --first-admin, --database-wait. */
#pragma once

#include "config.h"

/* Does what the options ask for, which may be nothing; EXIT_DONE, or what to exit with. A database that is away is waited
 * for, as long as the options allow, or until a signal (they are blocked) asks the process to end; a migration, or another
 * server's, is not broken off by one. Several servers may do this at once: one works, the others wait for it. */
int prepare_database(const struct config *config);
