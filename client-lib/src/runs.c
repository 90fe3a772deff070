#include "runs.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 16 };

/* All ids here are UUIDs, whose last bytes are random. */
static size_t bucket_of(const struct runs *runs, const struct id *id) {
    uint64_t hash;
    memcpy(&hash, id->bytes + 8, sizeof hash);
    return (size_t)((hash * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (runs->size - 1);
}

static struct carbond_run *find(const struct runs *runs, const struct id *id) {
    if (runs->size == 0)
        return NULL;
    struct carbond_run *run = runs->buckets[bucket_of(runs, id)];
    while (run && !id_equal(&run->id, id))
        run = run->next;
    return run;
}

static void hang(struct runs *runs, struct carbond_run *run) {
    size_t bucket = bucket_of(runs, &run->id);
    run->next = runs->buckets[bucket];
    runs->buckets[bucket] = run;
}

static bool grow(struct runs *runs) {
    struct runs before = *runs;
    size_t size = before.size ? before.size * 2 : FIRST_SIZE;
    struct carbond_run **buckets = calloc(size, sizeof(struct carbond_run *));
    if (!buckets)
        return false;
    runs->buckets = buckets;
    runs->size = size;
    for (size_t i = 0; i < before.size; i++) {
        for (struct carbond_run *run = before.buckets[i], *next; run; run = next) {
            next = run->next;
            hang(runs, run);
        }
    }
    free(before.buckets);
    return true;
}

struct carbond_run *runs_get(struct runs *runs, struct carbond_client *client, const struct id *id) {
    struct carbond_run *run = find(runs, id);
    if (run)
        return run;
    if (runs->count >= runs->size && !grow(runs))
        return NULL;
    run = calloc(1, sizeof *run);
    if (!run)
        return NULL;
    run->client = client;
    run->id = *id;
    id_format(id, run->text);
    run->lane = (unsigned char)(runs->made++ % LANES);
    hang(runs, run);
    runs->count++;
    return run;
}

void runs_each(struct runs *runs, void (*visit)(void *context, struct carbond_run *run), void *context) {
    for (size_t i = 0; i < runs->size; i++)
        for (struct carbond_run *run = runs->buckets[i]; run; run = run->next)
            visit(context, run);
}

static void free_run(struct carbond_run *run) {
    free(run->creation);
    free(run->refusal);
    free(run);
}

static void remove_runs(struct runs *runs, bool held_too) {
    for (size_t i = 0; i < runs->size; i++) {
        struct carbond_run **link = &runs->buckets[i];
        while (*link) {
            struct carbond_run *run = *link;
            if (run->held && !held_too) {
                link = &run->next;
                continue;
            }
            *link = run->next;
            runs->count--;
            free_run(run);
        }
    }
}

void runs_sweep(struct runs *runs) {
    remove_runs(runs, false);
}

void runs_destroy(struct runs *runs) {
    remove_runs(runs, true);
    free(runs->buckets);
    *runs = (struct runs){0};
}
