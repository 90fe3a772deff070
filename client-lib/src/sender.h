/* The background thread: writes the ring to the spool, adopts what others left, and sends what is there. */
#pragma once

#include "client.h"
#include "transport.h"

#include <stdbool.h>

struct sender;

/* Starts it. NULL when out of memory or when the system refuses. */
struct sender *sender_start(struct carbond_client *client);

/* Ends the thread, breaking off what it sends; from the thread itself, it only asks it to end. */
void sender_halt(struct sender *sender);

/* The same, and frees it. */
void sender_stop(struct sender *sender);

/* Wakes it. Any thread. */
void sender_wake(struct sender *sender);

/* After fork(), in the child, where it does not run: closes the parent's connections, and leaves the rest as it is. */
void sender_abandon(struct sender *sender);
