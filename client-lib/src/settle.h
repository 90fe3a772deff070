/* Noting what became of records, in the segments that they are in. The background thread, without the client's lock. */
#pragma once

#include "answer.h"
#include "batch.h"
#include "client.h"

/* It is done with. */
void settle_one(struct carbond_client *client, const struct batch_entry *entry, bool is_emission);

/* The emissions of a batch were stored, but for those whose place in `spared` (or NULL) is true. `mark`: in the file as well,
 * since the server would store a repeat twice. */
void settle_delivered(struct carbond_client *client, const struct batch *batch, const bool *spared,
                      bool mark);

/* It was refused for good: it goes to rejected/ first. `detail` is JSON. False when the disk does not take it: it is still
 * pending then. */
bool settle_rejected(struct carbond_client *client, const struct batch_entry *entry,
                     const struct record *record, int status, const char *detail);
