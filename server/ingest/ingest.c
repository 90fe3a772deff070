#include "ingest/ingest.h"

#include "ingest/ingest_metrics.h"
#include "ingest/writer.h"

#include <stdlib.h>

struct ingest {
    struct ingest_settings settings;
    struct ingest_backlog backlog;
    struct writer *writers[INGEST_WRITERS];
    size_t writer_count;
};

struct ingest *ingest_start(const struct ingest_settings *settings) {
    struct ingest *ingest = calloc(1, sizeof *ingest);
    if (!ingest)
        return NULL;
    ingest->settings = *settings;
    ingest->backlog.capacity = settings->queue_size;
    metric_set(&ingest_metrics.queue_capacity, (int64_t)settings->queue_size);
    for (size_t i = 0; i < settings->writers; i++) {
        struct writer *writer = writer_start(&ingest->settings, &ingest->backlog);
        if (!writer) {
            ingest_stop(ingest);
            ingest_free(ingest);
            return NULL;
        }
        ingest->writers[ingest->writer_count++] = writer;
    }
    return ingest;
}

/* Single emissions all go to the first: two writers would halve their batches, and wait for each other's commits where they
 * store emissions of one run. A batch is work for a while: it goes where there is the least. */
static struct writer *writer_for(const struct ingest *ingest, const struct ingest_job *job) {
    struct writer *idlest = ingest->writers[0];
    for (size_t i = 1; job->count > 1 && i < ingest->writer_count; i++)
        if (writer_load(ingest->writers[i]) <= writer_load(idlest))
            idlest = ingest->writers[i];
    return idlest;
}

bool ingest_submit(struct ingest *ingest, struct ingest_job *job) {
    int64_t emissions = (int64_t)job->count; /* once it is in the queue, the job is the writer's */
    job->outcome = INGEST_DONE;
    bool taken = writer_submit(writer_for(ingest, job), job);
    if (!taken)
        metric_count(&ingest_metrics.refused, emissions);
    return taken;
}

void ingest_stop(struct ingest *ingest) {
    for (size_t i = 0; ingest && i < ingest->writer_count; i++)
        writer_stop(ingest->writers[i]);
}

void ingest_free(struct ingest *ingest) {
    for (size_t i = 0; ingest && i < ingest->writer_count; i++)
        writer_free(ingest->writers[i]);
    free(ingest);
}
