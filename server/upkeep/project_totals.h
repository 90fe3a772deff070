/* What projects emitted, for /metrics (--metrics-projects): their totals, as the upkeep thread last read them. */
#pragma once

#include "base/buffer.h"

/* Appends the figures. From any thread; does not wait for the database. */
void project_totals_write(struct buffer *out);
