/* Who is connected from where: a table of the addresses that have connections, each with what it takes of what all
 * share. An address is what http_address_counted makes of it. No lock: the table is the event thread's alone. */
#pragma once

#include "http/address.h"

#include <stddef.h>

struct source {
    struct source *next;         /* in its bucket */
    struct http_address address; /* what counts of it */
    unsigned connections;        /* that hold it */
    size_t body_bytes;           /* of its requests that are not over */
};

struct source_table;

/* NULL when out of memory. The table must be empty when it is freed. */
struct source_table *source_table_new(void);
void source_table_free(struct source_table *table);

/* The address of a new connection, with that one counted; NULL when out of memory. */
struct source *source_hold(struct source_table *table, const struct http_address *client);

/* One of its connections is gone; with the last one goes the address. */
void source_release(struct source_table *table, struct source *source);
