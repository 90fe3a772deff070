/* Who is not let in, whatever they ask for: above all who comes too often. Which limits (auth/limits.h) count a request, is by
 * the class of its route. */
#pragma once

#include "api/call.h"

/* The `refuse` of every http_route of the API (http/route.h): before the body is read, by the address and by the
 * credentials as they are sent, without asking whose they are; and without authentication, by the name of the server. */
bool gate_refuse(struct http_request *request, void *worker);

/* On a worker, around the look-up of the caller. True: a 429 was left, nothing need be looked up. */
bool gate_refuse_guess(struct call *call);
void gate_note_guess(struct call *call);
