/* What the kernel tells of this process, under the names that Prometheus clients use (process_...). */
#pragma once

#include "base/buffer.h"

/* Reads /proc and appends the text; what cannot be read is left out. May be called from any thread. */
void process_metrics_write(struct buffer *out);
