/* The data spread over many machines by the extension Citus. docs/scale.md tells what that is good for, and what of it was
 * never tried. */
#pragma once

#include "base/buffer.h"
#include "db/connection.h"

#define CITUS_MISSING "there is no extension citus in this database: docs/scale.md tells how to begin"

/* DB_REFUSED without the extension: *problem (a static text, else NULL) tells then, and db_message does not. */
enum db_outcome citus_check(struct db *db, const char **problem);

/* With it: writes the script, one transaction, that spreads what is not spread yet; nothing, if all is. Changes nothing. The
 * buffer may have failed. */
enum db_outcome citus_script(struct db *db, struct buffer *script);
