#include "lane.h"

#include "clock.h"
#include "creation.h"
#include "dialect.h"
#include "settle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { READ_AGAIN = 5000 /* ms, when the disk can't be read */ };

/* -- its life -------------------------------------------------------------------------------------------------------------- */

bool lane_init(struct lane *lane, unsigned number, struct outbound *out) {
    *lane = (struct lane){.out = out, .number = number};
    lane->limit = (size_t)out->client->options.batch_size;
    if (!segment_reader_init(&lane->reader))
        return false;
    if (batch_init(&lane->batch, lane->limit))
        return true;
    segment_reader_destroy(&lane->reader);
    return false;
}

void lane_let_go(struct lane *lane) {
    struct carbond_client *client = lane->out->client;
    if (lane->holding == 0)
        return; /* nor is there a lock to be taken: a sender that can't start is freed under it */
    pthread_mutex_lock(&client->lock);
    while (lane->holding > 0)
        spool_release(&client->spool, lane->held[--lane->holding]);
    pthread_mutex_unlock(&client->lock);
}

static void let_go_of_last(struct lane *lane) {
    struct carbond_client *client = lane->out->client;
    pthread_mutex_lock(&client->lock);
    spool_release(&client->spool, lane->held[--lane->holding]);
    pthread_mutex_unlock(&client->lock);
}

void lane_destroy(struct lane *lane) {
    if (!lane->reader.buffer)
        return;
    lane_let_go(lane);
    free(lane->creation);
    free(lane->detail);
    batch_destroy(&lane->batch);
    segment_reader_destroy(&lane->reader);
}

static void forget_waiting(void *context, struct carbond_run *run) {
    const struct lane *lane = context;
    if (run->lane == lane->number)
        run->waiting = false;
}

/* From the beginning: what was passed over comes first. */
static void rewind_lane(struct lane *lane) {
    struct carbond_client *client = lane->out->client;
    lane->deferred = 0;
    lane->from = (struct lane_place){0};
    pthread_mutex_lock(&client->lock);
    runs_each(&client->runs, forget_waiting, lane);
    pthread_mutex_unlock(&client->lock);
}

static void defer(struct lane *lane, int64_t due) {
    if (lane->deferred == 0 || due < lane->deferred)
        lane->deferred = due;
}

/* -- what is to be done with a record -------------------------------------------------------------------------------------- */

enum verdict {
    PASS,   /* not ours, done with, or not yet */
    DONE,   /* nothing is to be sent: it is settled */
    REFUSE, /* its run is refused */
    CREATE, /* its creation is to be sent */
    SEND,
    FAIL, /* out of memory */
};

static struct carbond_run *find_run(struct lane *lane, const struct id *id) {
    struct carbond_client *client = lane->out->client;
    if (lane->last_run && id_equal(&lane->last_run->id, id))
        return lane->last_run;
    pthread_mutex_lock(&client->lock);
    struct carbond_run *run = runs_get(&client->runs, client, id);
    if (run && run->state == RUN_UNKNOWN)
        spool_recall_remote(&client->spool, run);
    pthread_mutex_unlock(&client->lock);
    lane->last_run = run;
    return run;
}

/* Later, if the run has trouble of its own. */
static bool is_deferred(struct lane *lane, const struct carbond_run *run, int64_t now) {
    int64_t pause = backoff_pause(&run->backoff, now);
    if (pause > 0)
        defer(lane, now + pause);
    return pause > 0;
}

static enum verdict judge_run(struct lane *lane, struct carbond_run *run, const struct record *record,
                              int64_t now) {
    /* A plain CodeCarbon server would make another run of it. */
    bool is_known = run->has_remote || (run->state == RUN_CREATED && record->dropped <= run->told);
    if (is_known || run->state == RUN_REFUSED)
        return DONE;
    /* What its emissions wait for, where they came first and the server did not know the run, is this. */
    run->waiting = !run->missing && is_deferred(lane, run, now);
    return run->waiting ? PASS : CREATE;
}

static enum verdict judge_emission(struct lane *lane, const struct carbond_run *run, int64_t now) {
    if (run->state == RUN_REFUSED)
        return REFUSE;
    if (is_deferred(lane, run, now))
        return PASS;
    if (run->waiting) {
        defer(lane, now + READ_AGAIN); /* its creation comes first, which has been passed over */
        return PASS;
    }
    return SEND;
}

static enum verdict judge(struct lane *lane, struct segment *segment, const struct segment_entry *entry,
                          struct carbond_run **run, int64_t now) {
    if (segment_is_settled(segment, entry->index))
        return PASS;
    *run = find_run(lane, &entry->record.run);
    if (!*run)
        return FAIL;
    if ((*run)->lane != lane->number)
        return PASS;
    switch (entry->record.type) {
    case RECORD_RUN: return judge_run(lane, *run, &entry->record, now);
    case RECORD_EMISSION: return judge_emission(lane, *run, now);
    }
    return PASS;
}

/* -- filling a request ----------------------------------------------------------------------------------------------------- */

static struct batch_entry batch_entry_of(struct segment *segment, struct carbond_run *run,
                                         const struct segment_entry *entry) {
    return (struct batch_entry){
        .segment = segment, .run = run, .offset = entry->offset, .index = entry->index};
}

static bool prepare_creation(struct lane *lane, struct carbond_run *run, const struct record *record) {
    size_t length;
    free(lane->creation);
    lane->creation = creation_with_dropped(record->json, record->json_length, record->dropped, &length);
    lane->run = run;
    lane->dropped = record->dropped;
    run->missing &= !lane->creation; /* from now on, its trouble is that of its creation */
    return lane->creation != NULL;
}

static const struct id *id_at_server(const struct carbond_run *run) {
    return run->has_remote ? &run->remote : &run->id;
}

/* Whether reading goes on. */
static bool take_record(struct lane *lane, struct segment *segment, const struct segment_entry *entry,
                        int64_t now) {
    struct carbond_run *run;
    enum verdict verdict = judge(lane, segment, entry, &run, now);
    if (verdict == PASS)
        return true;
    struct batch_entry mine = batch_entry_of(segment, run, entry);
    switch (verdict) {
    case DONE: settle_one(lane->out->client, &mine, entry->record.type == RECORD_EMISSION); return true;
    case REFUSE:
        if (!settle_rejected(lane->out->client, &mine, &entry->record, run->refusal_status, run->refusal))
            defer(lane, now + READ_AGAIN);
        return true;
    case CREATE:
        if (lane->batch.count > 0)
            return false; /* first what is before it */
        if (prepare_creation(lane, run, &entry->record))
            lane->work = LANE_CREATING;
        return false;
    case SEND: return batch_add(&lane->batch, &mine, &entry->record.emission, id_at_server(run));
    case PASS:
    case FAIL: break;
    }
    defer(lane, now + READ_AGAIN);
    return false;
}

enum reading { READ_ON, READ_END, READ_STOP };

/* The end of a segment: the next one follows, or, behind the one that is being written, nothing yet. */
static enum reading end_segment(struct lane *lane, struct segment *segment, uint32_t records) {
    struct carbond_client *client = lane->out->client;
    pthread_mutex_lock(&client->lock);
    bool differs = lane->reader.index != records;
    if (differs)
        spool_recount(&client->spool, segment);
    bool grows = segment == client->spool.active || segment->size > lane->reader.end;
    pthread_mutex_unlock(&client->lock);
    if (differs) {
        log_write(&client->log, CARBOND_LOG_ERROR,
                  "a segment of the spool was changed by somebody: it is read again");
        lane->to.index = 0;
        lane->to.at = 0;
        return READ_STOP;
    }
    if (grows)
        return READ_END;
    lane->to = (struct lane_place){.segment = segment->number + 1};
    return READ_ON;
}

static enum reading read_segment(struct lane *lane, struct segment *segment, uint64_t size, uint32_t records,
                                 int64_t now) {
    struct segment_reader *reader = &lane->reader;
    size_t limit = dialect_of(lane->out)->batches ? lane->limit : 1;
    if (lane->to.at == 0)
        segment_reader_begin(reader, segment->fd, size);
    else
        segment_reader_seek(reader, segment->fd, size, lane->to.at, lane->to.index);
    while (lane->batch.count < limit) {
        struct segment_entry entry;
        struct lane_place here = {segment->number, reader->at, reader->index};
        switch (segment_reader_next(reader, &entry)) {
        case SEGMENT_RECORD:
            if (!take_record(lane, segment, &entry, now)) {
                lane->to = here;
                return READ_STOP;
            }
            break;
        case SEGMENT_DAMAGE:
        case SEGMENT_TORN: break; /* counted when it was adopted, or at the end */
        case SEGMENT_END:
            lane->to = (struct lane_place){segment->number, reader->at, reader->index};
            return end_segment(lane, segment, records);
        case SEGMENT_FAILED:
            log_write(&lane->out->client->log, CARBOND_LOG_ERROR, "a segment of the spool can't be read: %s",
                      strerror(errno));
            defer(lane, now + READ_AGAIN);
            lane->to = (struct lane_place){.segment = segment->number + 1};
            return READ_ON;
        }
    }
    lane->to = (struct lane_place){segment->number, reader->at, reader->index};
    return READ_STOP;
}

/* Holds the next segment. `*size` and `*records` are what it has now. */
static struct segment *hold_next(struct lane *lane, uint64_t *size, uint32_t *records, int64_t now) {
    struct carbond_client *client = lane->out->client;
    int problem;
    pthread_mutex_lock(&client->lock);
    struct segment *segment = spool_hold(&client->spool, lane->to.segment, &problem);
    if (segment && !segment_prepare_bits(segment)) {
        spool_release(&client->spool, segment);
        segment = NULL;
        problem = ENOMEM;
    }
    if (segment) {
        *size = segment->size;
        *records = segment->records;
        lane->held[lane->holding++] = segment;
    }
    pthread_mutex_unlock(&client->lock);
    if (problem != 0)
        defer(lane, now + READ_AGAIN);
    if (segment && segment->number != lane->to.segment)
        lane->to = (struct lane_place){.segment = segment->number};
    return segment;
}

/* Reads on from `from`, until there is a request to be sent, or nothing more. */
static void fill(struct lane *lane, int64_t now) {
    enum reading reading = READ_ON;
    lane->to = lane->from;
    lane->last_run = NULL;
    batch_begin(&lane->batch, dialect_of(lane->out)->batches);
    while (reading == READ_ON && lane->holding < LANE_SEGMENTS) {
        size_t before = lane->batch.count;
        uint64_t size;
        uint32_t records;
        struct segment *segment = hold_next(lane, &size, &records, now);
        if (!segment)
            return;
        reading = read_segment(lane, segment, size, records, now);
        if (reading == READ_ON && lane->batch.count == before)
            let_go_of_last(lane);
    }
}

/* -- sending --------------------------------------------------------------------------------------------------------------- */

static bool post(struct lane *lane, const char *path, const char *type, bool is_gzip, const void *body,
                 size_t length) {
    struct carbond_client *client = lane->out->client;
    pthread_mutex_lock(&client->lock);
    struct request request = {.path = path,
                              .type = type,
                              .is_gzip = is_gzip,
                              .body = body,
                              .length = length,
                              .token = client->token};
    bool sent = transport_post(lane->out->transport, lane->number, &request);
    pthread_mutex_unlock(&client->lock);
    count(&client->counters.requests, sent);
    log_write(&client->log, CARBOND_LOG_DEBUG, "POST %s: %zu bytes", path, length);
    return sent;
}

static const char JSON[] = "application/json";
static const char NDJSON[] = "application/x-ndjson";

static bool send_batch(struct lane *lane) {
    const struct dialect *dialect = dialect_of(lane->out);
    lane->work = LANE_SENDING;
    return batch_end(&lane->batch) && post(lane, dialect->emissions, dialect->batches ? NDJSON : JSON,
                                           lane->batch.is_gzip, lane->batch.body, lane->batch.length);
}

static bool send_creation(struct lane *lane) {
    return post(lane, dialect_of(lane->out)->runs, JSON, false, lane->creation, strlen(lane->creation));
}

bool lane_probe(struct lane *lane, const char *path) {
    return post(lane, path, JSON, false, "{}", 2);
}

static bool is_behind(const struct lane_place *one, const struct lane_place *other) {
    return one->segment > other->segment || (one->segment == other->segment && one->at >= other->at);
}

void lane_begin(struct lane *lane, int64_t now) {
    if (lane->work != LANE_IDLE)
        return;
    if (lane->deferred != 0 && now >= lane->deferred)
        rewind_lane(lane);
    if (is_behind(&lane->from, &lane->careful))
        lane->limit = lane->batch.capacity;
    fill(lane, now);
    bool sent = true;
    if (lane->work == LANE_CREATING)
        sent = send_creation(lane);
    else if (lane->batch.count > 0)
        sent = send_batch(lane);
    else
        lane->from = lane->to; /* all of it was passed over, or settled */
    if (!sent) {
        lane->work = LANE_IDLE;
        defer(lane, now + READ_AGAIN);
    }
    if (lane->work == LANE_IDLE || lane->work == LANE_CREATING)
        lane_let_go(lane);
}
