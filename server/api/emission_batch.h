/* POST /emissions/batch: up to 10 000 emissions, in one transaction, each with a verdict of its own. */
#pragma once

struct call;

enum {
    EMISSION_BATCH_LIMIT = 16 * 1024 * 1024, /* bytes of a body, also of what it unpacks to */
    EMISSION_BATCH_SIZE = 10000,             /* emissions */
};

void emission_batch_create(struct call *call);
