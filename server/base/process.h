/* What the kernel tells of this process, under the names that Prometheus clients use (process_...), and what it grants. */
#pragma once

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* Has the kernel grant that many file descriptors. False if it may not: then there are as many as it may. */
bool process_want_descriptors(size_t count);

/* Reads /proc and appends the text; what cannot be read is left out. May be called from any thread. */
void process_metrics_write(struct buffer *out);
