#include "settle.h"

void settle_one(struct carbond_client *client, const struct batch_entry *entry, bool is_emission) {
    segment_mark(entry->segment, entry->offset);
    pthread_mutex_lock(&client->lock);
    spool_settle(&client->spool, entry->segment, entry->index, is_emission);
    pthread_mutex_unlock(&client->lock);
}

void settle_delivered(struct carbond_client *client, const struct batch *batch, const bool *spared,
                      bool mark) {
    uint64_t delivered = 0;
    for (size_t i = 0; mark && i < batch->count; i++)
        if (!spared || !spared[i])
            segment_mark(batch->entries[i].segment, batch->entries[i].offset);
    pthread_mutex_lock(&client->lock);
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_entry *entry = &batch->entries[i];
        if (!spared || !spared[i])
            delivered += spool_settle(&client->spool, entry->segment, entry->index, true);
    }
    count(&client->counters.delivered, delivered); /* whoever sees it settled sees it counted */
    pthread_mutex_unlock(&client->lock);
}

bool settle_rejected(struct carbond_client *client, const struct batch_entry *entry,
                     const struct record *record, int status, const char *detail) {
    bool is_emission = record->type == RECORD_EMISSION;
    pthread_mutex_lock(&client->lock);
    bool written = spool_reject(&client->spool, record, status, detail ? detail : "null");
    bool settled = written && spool_settle(&client->spool, entry->segment, entry->index, is_emission);
    count(&client->counters.rejected, settled && is_emission);
    pthread_mutex_unlock(&client->lock);
    if (!written)
        return false;
    segment_mark(entry->segment, entry->offset);
    log_write(&client->log, CARBOND_LOG_ERROR, "%s of run %s is refused with %d: %s",
              is_emission ? "an emission" : "the creation", entry->run->text, status,
              detail ? detail : "no reason given");
    return true;
}
