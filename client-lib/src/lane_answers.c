/* What a lane makes of an answer. */
#include "dialect.h"
#include "lane.h"
#include "settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED = 100 /* rejections that an answer lists at most */ };

static uint64_t next_random(struct outbound *out) {
    /* xorshift64: jitter needs no more. */
    out->random ^= out->random << 13;
    out->random ^= out->random >> 7;
    out->random ^= out->random << 17;
    return out->random;
}

/* -- how it goes with the server --------------------------------------------------------------------------------------------- */

static const struct {
    int link;
    int level;
    const char *sentence;
} LINKS[] = {
    [OUTCOME_DONE] = {CARBOND_LINK_UP, CARBOND_LOG_INFO, "the server answers"},
    [OUTCOME_UNAUTHORIZED] = {CARBOND_LINK_UNAUTHORIZED, CARBOND_LOG_WARNING,
                              "the server refuses the token; everything is kept"},
    [OUTCOME_LATER] = {CARBOND_LINK_DOWN, CARBOND_LOG_INFO,
                       "the server can't be reached, or asks to come later"},
    [OUTCOME_STRANGE] = {CARBOND_LINK_STRANGE, CARBOND_LOG_WARNING,
                         "what answers does not speak as a server should; everything is kept"},
    [OUTCOME_NO_ROUTE] = {CARBOND_LINK_STRANGE, CARBOND_LOG_WARNING,
                          "the server has no such path: is the URL right? Everything is kept"},
};

static void tell_link(struct lane *lane, enum outcome outcome, const struct reply *reply) {
    struct carbond_client *client = lane->out->client;
    atomic_store(&client->http_status, reply->status);
    if (atomic_exchange(&client->link, LINKS[outcome].link) == LINKS[outcome].link)
        return;
    if (reply->status == 0)
        log_write(&client->log, LINKS[outcome].level, "%s: %s", LINKS[outcome].sentence, reply->problem);
    else
        log_write(&client->log, LINKS[outcome].level, "%s (status %d)", LINKS[outcome].sentence,
                  reply->status);
}

/* Nothing has become of the request; all that it held is pending. */
static void fail(struct lane *lane, enum outcome outcome, const struct reply *reply, int64_t now) {
    struct outbound *out = lane->out;
    tell_link(lane, outcome, reply);
    out->token_refused |= reply->status == 401; /* 403 may be about one experiment alone */
    count(&out->client->counters.retries, 1);
    backoff_fail(&out->backoff, now, reply->retry_after, next_random(out));
    atomic_store(&out->client->retry_at, out->backoff.due);
}

static void succeed(struct lane *lane, const struct reply *reply) {
    tell_link(lane, OUTCOME_DONE, reply);
    lane->out->token_refused = false;
    backoff_reset(&lane->out->backoff);
    atomic_store(&lane->out->client->retry_at, 0);
}

/* The run has to wait, not the others. */
static void delay_run(struct lane *lane, struct carbond_run *run, int64_t now) {
    struct carbond_client *client = lane->out->client;
    pthread_mutex_lock(&client->lock);
    run->backoff.minimum = client->options.retry_min;
    run->backoff.maximum = client->options.retry_max;
    backoff_fail(&run->backoff, now, 0, next_random(lane->out));
    pthread_mutex_unlock(&client->lock);
    int64_t due = run->backoff.due;
    if (lane->deferred == 0 || due < lane->deferred)
        lane->deferred = due;
}

static void no_route(struct lane *lane, enum lane_work work, const struct reply *reply, int64_t now) {
    if (!dialect_try_next(lane->out, work))
        fail(lane, OUTCOME_NO_ROUTE, reply, now);
}

/* A path that has never worked answers 404: is it the path that is not there, or what the body names? */
static void probe(struct lane *lane, enum lane_work work, const struct reply *reply) {
    const struct dialect *dialect = dialect_of(lane->out);
    free(lane->detail);
    lane->detail = answer_detail(reply->body, reply->length);
    lane->status = reply->status;
    lane->probed = work;
    if (lane_probe(lane, work == LANE_CREATING ? dialect->runs : dialect->emissions))
        lane->work = LANE_PROBING;
}

/* -- the creation of a run --------------------------------------------------------------------------------------------------- */

static void creation_done(struct lane *lane, const struct reply *reply, int64_t now) {
    struct outbound *out = lane->out;
    struct carbond_client *client = out->client;
    struct carbond_run *run = lane->run;
    struct id id;
    bool understood = answer_run_id(reply->body, reply->length, &id);
    bool keeps_id = understood && id_equal(&id, &run->id);
    if (!understood || (!keeps_id && out->server == CARBOND_SERVER_CARBOND)) {
        fail(lane, OUTCOME_STRANGE, reply, now);
        return;
    }
    succeed(lane, reply);
    dialect_note_creation(out, keeps_id);
    pthread_mutex_lock(&client->lock);
    run->state = RUN_CREATED;
    backoff_reset(&run->backoff);
    if (lane->dropped > run->told)
        run->told = lane->dropped;
    if (!keeps_id) {
        run->has_remote = true;
        run->remote = id;
        spool_remember_remote(&client->spool, run);
    }
    pthread_mutex_unlock(&client->lock);
}

/* The run will never be there: nor will its emissions. The record itself is still pending; it is settled when it is read
 * again. */
static void creation_refused(struct lane *lane, int status, const char *detail, int64_t now) {
    struct carbond_client *client = lane->out->client;
    struct carbond_run *run = lane->run;
    struct record record = {
        .type = RECORD_RUN, .run = run->id, .json = lane->creation, .json_length = strlen(lane->creation)};
    char *refusal = NULL;
    if (asprintf(&refusal, "{\"run_refused\":%s}", detail ? detail : "null") < 0)
        refusal = NULL;
    pthread_mutex_lock(&client->lock);
    bool written = refusal && spool_reject(&client->spool, &record, status, detail ? detail : "null");
    if (written) {
        run->state = RUN_REFUSED;
        backoff_reset(&run->backoff);
        run->refusal_status = status;
        free(run->refusal);
        run->refusal = refusal;
    } else {
        free(refusal);
    }
    pthread_mutex_unlock(&client->lock);
    if (written)
        log_write(&client->log, CARBOND_LOG_ERROR, "the run %s is refused with %d: %s", run->text, status,
                  detail ? detail : "no reason given");
    else
        delay_run(lane, run, now);
}

static void creation_answered(struct lane *lane, const struct reply *reply, int64_t now) {
    enum outcome outcome = answer_outcome(reply->status, reply->body, reply->length);
    switch (outcome) {
    case OUTCOME_DONE: creation_done(lane, reply, now); return;
    case OUTCOME_NO_ROUTE: no_route(lane, LANE_CREATING, reply, now); return;
    case OUTCOME_REFUSED:
        if (reply->status == 404 && !lane->out->runs_proven) {
            probe(lane, LANE_CREATING, reply);
            return;
        }
        succeed(lane, reply);
        char *detail = answer_detail(reply->body, reply->length);
        creation_refused(lane, reply->status, detail, now);
        free(detail);
        return;
    case OUTCOME_UNAUTHORIZED:
        /* 403 may be about this run's experiment alone: it waits longer than the others. */
        if (reply->status == 403)
            delay_run(lane, lane->run, now);
        break;
    case OUTCOME_LATER:
    case OUTCOME_STRANGE: break;
    }
    fail(lane, outcome, reply, now);
}

/* -- emissions --------------------------------------------------------------------------------------------------------------- */

/* Reads a record of the batch again. */
static bool read_entry(struct lane *lane, const struct batch_entry *entry, struct segment_entry *read) {
    segment_reader_seek(&lane->reader, entry->segment->fd, INT64_MAX, entry->offset, entry->index);
    return segment_reader_next(&lane->reader, read) == SEGMENT_RECORD && read->offset == entry->offset;
}

/* False when it is still pending. */
static bool reject(struct lane *lane, const struct batch_entry *entry, int status, const char *detail,
                   int64_t now) {
    struct segment_entry read;
    if (read_entry(lane, entry, &read) &&
        settle_rejected(lane->out->client, entry, &read.record, status, detail))
        return true;
    delay_run(lane, entry->run, now);
    return false;
}

/* 404: final if the run's creation was acknowledged. Another process may have yet to send it; where none does, the server is
 * asked once more, since it may have been acknowledged, and gone from the spool, while this answer was on its way. */
static bool not_found(struct lane *lane, const struct batch_entry *entry, const char *detail, int64_t now) {
    struct carbond_client *client = lane->out->client;
    struct carbond_run *run = entry->run;
    if (backoff_pause(&run->backoff, now) > 0)
        return false; /* found out with another emission of this batch */
    bool unclaimed =
        run->state != RUN_CREATED && !spool_somebody_creates(&client->spool, &client->lock, &run->id);
    if (run->state == RUN_CREATED || (unclaimed && run->unclaimed))
        return reject(lane, entry, 404, detail, now);
    run->missing = true;
    run->unclaimed = unclaimed;
    delay_run(lane, run, now);
    return false;
}

static bool refuse_entry(struct lane *lane, size_t index, int status, const char *detail, int64_t now) {
    const struct batch_entry *entry = &lane->batch.entries[index];
    return status == 404 ? not_found(lane, entry, detail, now) : reject(lane, entry, status, detail, now);
}

/* Fewer at once, up to the end of this request. */
static void be_careful(struct lane *lane, size_t limit) {
    lane->limit = limit;
    lane->careful = lane->to;
}

/* An exact account of the batch. Who is neither listed nor counted among the unlisted was stored. */
static void account(struct lane *lane, const struct batch_answer *answer, int64_t now) {
    struct carbond_client *client = lane->out->client;
    bool *spared = calloc(lane->batch.count, sizeof *spared);
    if (!spared)
        return; /* all of it is sent again */
    size_t left = 0;
    for (size_t i = 0; i < answer->listed; i++) {
        const struct rejection *rejection = &answer->rejections[i];
        spared[rejection->index] = true;
        left += !refuse_entry(lane, rejection->index, rejection->status, rejection->detail, now);
    }
    if (answer->unlisted > 0) {
        be_careful(lane, LISTED);
    } else {
        count(&client->counters.duplicates, answer->duplicates);
        settle_delivered(client, &lane->batch, spared, false);
        if (left == 0)
            lane->from = lane->to;
    }
    free(spared);
}

static void refused(struct lane *lane, int status, const char *detail, int64_t now) {
    if (refuse_entry(lane, 0, status, detail, now))
        lane->from = lane->to;
}

static void refused_by(struct lane *lane, const struct reply *reply, int64_t now) {
    char *detail = answer_detail(reply->body, reply->length);
    succeed(lane, reply);
    refused(lane, reply->status, detail, now);
    free(detail);
}

static void batch_answered(struct lane *lane, const struct reply *reply, int64_t now) {
    enum outcome outcome = answer_outcome(reply->status, reply->body, reply->length);
    struct batch_answer answer;
    bool is_one = lane->batch.count == 1;
    if (outcome == OUTCOME_DONE) {
        if (!answer_batch(reply->body, reply->length, lane->batch.count, &answer)) {
            fail(lane, OUTCOME_STRANGE, reply, now);
            return;
        }
        succeed(lane, reply);
        lane->out->emissions_proven = true;
        account(lane, &answer, now);
        answer_batch_free(&answer);
    } else if (outcome == OUTCOME_NO_ROUTE || (outcome == OUTCOME_REFUSED && reply->status == 404)) {
        no_route(lane, LANE_SENDING, reply, now);
    } else if (!is_one && (outcome == OUTCOME_REFUSED || reply->status == 413)) {
        be_careful(lane, lane->batch.count / 2); /* one of them is at fault, or they are too many */
    } else if (outcome == OUTCOME_REFUSED) {
        refused_by(lane, reply, now);
    } else {
        fail(lane, outcome, reply, now);
    }
}

static void single_answered(struct lane *lane, const struct reply *reply, int64_t now) {
    enum outcome outcome = answer_outcome(reply->status, reply->body, reply->length);
    if (outcome == OUTCOME_DONE) {
        succeed(lane, reply);
        lane->out->emissions_proven = true;
        settle_delivered(lane->out->client, &lane->batch, NULL, true);
        lane->from = lane->to;
    } else if (outcome == OUTCOME_REFUSED && reply->status == 404 && !lane->out->emissions_proven) {
        probe(lane, LANE_SENDING, reply);
    } else if (outcome == OUTCOME_REFUSED) {
        refused_by(lane, reply, now);
    } else if (outcome == OUTCOME_NO_ROUTE) {
        no_route(lane, LANE_SENDING, reply, now);
    } else {
        fail(lane, outcome, reply, now);
    }
}

static void emissions_answered(struct lane *lane, const struct reply *reply, int64_t now) {
    if (dialect_of(lane->out)->batches)
        batch_answered(lane, reply, now);
    else
        single_answered(lane, reply, now);
}

/* -- probes ------------------------------------------------------------------------------------------------------------------ */

static void probe_answered(struct lane *lane, const struct reply *reply, int64_t now) {
    enum outcome outcome = answer_outcome(reply->status, reply->body, reply->length);
    if (reply->status == 404 || reply->status == 405) {
        no_route(lane, lane->probed, reply, now);
    } else if (outcome != OUTCOME_REFUSED) {
        fail(lane, outcome == OUTCOME_DONE ? OUTCOME_STRANGE : outcome, reply, now);
    } else {
        succeed(lane, reply);
        if (lane->probed == LANE_CREATING)
            creation_refused(lane, lane->status, lane->detail, now);
        else
            refused(lane, lane->status, lane->detail, now);
    }
}

void lane_finish(struct lane *lane, int64_t now) {
    static void (*const ANSWERED[])(struct lane *, const struct reply *,
                                    int64_t) = {[LANE_CREATING] = creation_answered,
                                                [LANE_SENDING] = emissions_answered,
                                                [LANE_PROBING] = probe_answered};
    struct carbond_client *client = lane->out->client;
    struct reply reply;
    if (lane->work == LANE_IDLE || !transport_take(lane->out->transport, lane->number, &reply))
        return;
    enum lane_work work = lane->work;
    lane->work = LANE_IDLE;
    ANSWERED[work](lane, &reply, now);
    if (lane->work != LANE_IDLE)
        return; /* a probe goes on with what it is about */
    lane_let_go(lane);
    pthread_mutex_lock(&client->lock);
    spool_clean(&client->spool, false);
    pthread_cond_broadcast(&client->progress);
    pthread_mutex_unlock(&client->lock);
}
