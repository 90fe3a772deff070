/* POST /emissions: one emission a request. */
#pragma once

#include <stdbool.h>

struct call;
struct http_request;

/* Milliseconds that an emission waits for a database that restarts: a tracker does not send it again. */
enum { EMISSION_PATIENCE = 1500 };

/* On the event thread: what usual trackers send goes straight to the writer. False: nothing was done. `worker` is a
 * struct api_worker. */
bool emissions_try(struct http_request *request, void *worker);

/* On a worker: everything else. */
void emissions_create(struct call *call);
