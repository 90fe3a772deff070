/* Who comes too often: which limits (auth/limits.h) count a request, by the class of its route. */
#pragma once

#include "api/call.h"

/* The `refuse` of every http_route of the API (http/route.h): before the body is read, by the address and by the
 * credentials as they are sent, without asking whose they are. */
bool gate_refuse(struct http_request *request, void *worker);

/* On a worker, around the look-up of the caller. True: a 429 was left, nothing need be looked up. */
bool gate_refuse_guess(struct call *call);
void gate_note_guess(struct call *call);
