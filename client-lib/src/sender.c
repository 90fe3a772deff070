#include "sender.h"

#include "clock.h"
#include "dialect.h"
#include "lane.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    ADOPT_EVERY = 60 * 1000, /* ms */
    HOLDS_FOR =
        1000, /* ms until it is looked again whether a request has let go of what is to be given back */
    IDLE_FOR = 1000, /* ms without anything to send, before the last segment is deleted */
};

struct sender {
    struct carbond_client *client;
    pthread_t thread;
    struct outbound out;
    struct lane lanes[LANES];
    int64_t next_drain, next_adoption, next_sync;
    int64_t idle_since; /* 0: it is not */
    bool halted;        /* the thread has ended */
    struct sender *abandoned_before;
};

/* -- what it does in each round ---------------------------------------------------------------------------------------------- */

static void hurry_run(void *context, struct carbond_run *run) {
    backoff_hurry(&run->backoff, *(const int64_t *)context);
}

static void hurry(struct sender *sender, int64_t now) {
    struct carbond_client *client = sender->client;
    if (!atomic_exchange(&client->hurried, false))
        return;
    backoff_hurry(&sender->out.backoff, now);
    atomic_store(&client->retry_at, sender->out.backoff.due);
    pthread_mutex_lock(&client->lock);
    runs_each(&client->runs, hurry_run, &now);
    pthread_mutex_unlock(&client->lock);
    for (unsigned i = 0; i < LANES; i++)
        if (sender->lanes[i].deferred != 0)
            sender->lanes[i].deferred = now;
    sender->next_drain = now;
}

static bool is_sending(const struct sender *sender) {
    for (unsigned i = 0; i < LANES; i++)
        if (sender->lanes[i].work != LANE_IDLE)
            return true;
    return false;
}

static bool give_back(struct carbond_client *client) {
    pthread_mutex_lock(&client->lock);
    bool given = spool_give_back(&client->spool);
    pthread_mutex_unlock(&client->lock);
    return given;
}

/* While its own token is refused, it holds what others left every other time only: they may have a better one. */
static void adopt(struct sender *sender, int64_t now) {
    struct carbond_client *client = sender->client;
    pthread_mutex_lock(&client->lock);
    unsigned wanted = client->searches_wanted;
    bool afresh = wanted != client->searches_done;
    pthread_mutex_unlock(&client->lock);
    if (!afresh && now < sender->next_adoption)
        return;
    sender->out.token_refused &= !afresh;
    bool holds = sender->out.token_refused && is_sending(sender);
    sender->next_adoption = now + (holds ? HOLDS_FOR : ADOPT_EVERY);
    if (holds || (sender->out.token_refused && give_back(client)))
        return;
    spool_adopt(&client->spool, &client->lock);
    pthread_mutex_lock(&client->lock);
    client->searches_done = wanted;
    pthread_cond_broadcast(&client->progress);
    pthread_mutex_unlock(&client->lock);
}

/* The ring goes to the disk, not more often than the flush interval, unless it gets full. */
static void drain(struct sender *sender, int64_t now) {
    struct carbond_client *client = sender->client;
    bool due = now >= sender->next_drain || atomic_load(&client->pressed);
    if (!due)
        return;
    pthread_mutex_lock(&client->lock);
    uint64_t before = client->spool.appended;
    spool_expire(&client->spool);
    spool_recover(&client->spool);
    client_drain(client);
    spool_write_runs(&client->spool);
    uint64_t ticket = client->spool.appended;
    if (ticket != before)
        pthread_cond_broadcast(&client->progress);
    pthread_mutex_unlock(&client->lock);
    sender->next_drain = now + client->options.flush_interval;
    if (ticket != before && client->options.fsync != CARBOND_FSYNC_NONE)
        sync_wait(&client->sync, &client->spool, &client->lock, ticket);
}

static void begin(struct sender *sender, int64_t now) {
    if (backoff_pause(&sender->out.backoff, now) > 0)
        return;
    for (unsigned i = 0; i < LANES; i++)
        lane_begin(&sender->lanes[i], now);
}

/* When nothing is left to send: the last segment goes, and what is known of runs that nobody holds. */
static void tidy(struct sender *sender, int64_t now) {
    struct carbond_client *client = sender->client;
    if (is_sending(sender)) {
        sender->idle_since = 0;
        return;
    }
    if (sender->idle_since == 0)
        sender->idle_since = now;
    pthread_mutex_lock(&client->lock);
    spool_clean(&client->spool, now - sender->idle_since >= IDLE_FOR);
    if (!client->spool.first && ring_length(client->ring) == 0 && !client->spool.unwritten_runs)
        runs_sweep(&client->runs);
    pthread_cond_broadcast(&client->progress);
    pthread_mutex_unlock(&client->lock);
}

/* -- how long it may sleep --------------------------------------------------------------------------------------------------- */

static void sooner(int64_t *due, int64_t other) {
    if (other < *due)
        *due = other;
}

static int64_t next_due(struct sender *sender, int64_t now) {
    struct carbond_client *client = sender->client;
    int64_t due = sender->next_adoption;
    pthread_mutex_lock(&client->lock);
    bool has_segments = client->spool.first != NULL;
    int64_t disk_retry = client->spool.disk_retry;
    bool has_runs = client->spool.unwritten_runs;
    pthread_mutex_unlock(&client->lock);
    if (ring_length(client->ring) > 0 || has_runs)
        sooner(&due, sender->next_drain);
    if (disk_retry != 0)
        sooner(&due, disk_retry > sender->next_drain ? disk_retry : sender->next_drain);
    if (has_segments && !is_sending(sender))
        sooner(&due, sender->idle_since + IDLE_FOR > now ? sender->idle_since + IDLE_FOR : due);
    int64_t pause = backoff_pause(&sender->out.backoff, now);
    if (pause > 0)
        sooner(&due, now + pause);
    for (unsigned i = 0; i < LANES; i++)
        if (sender->lanes[i].deferred != 0 && sender->lanes[i].work == LANE_IDLE)
            sooner(&due, sender->lanes[i].deferred > now + pause ? sender->lanes[i].deferred : now + pause);
    return due;
}

/* Whether it would look into the spool, if there were something new in it. */
static bool could_send(const struct sender *sender, int64_t now) {
    return !is_sending(sender) && backoff_pause(&sender->out.backoff, now) == 0;
}

static bool has_more(struct carbond_client *client, uint64_t appended) {
    pthread_mutex_lock(&client->lock);
    bool more = client->spool.appended != appended;
    pthread_mutex_unlock(&client->lock);
    return more;
}

/* `appended` is what the spool had got before the lanes looked into it. */
static void rest(struct sender *sender, uint64_t appended) {
    struct carbond_client *client = sender->client;
    int64_t now = clock_monotonic();
    int64_t pause = next_due(sender, now) - now;
    bool ring_was_empty = ring_length(client->ring) == 0, could = could_send(sender, now);
    /* From here on, whoever brings something wakes it; what came just before is seen here. While emissions wait for the
     * flush interval to end, or the spool for the server, more of them wake nobody. */
    atomic_store(&client->dozing, ring_was_empty);
    atomic_store(&client->idle, could);
    if ((ring_was_empty && ring_length(client->ring) > 0) || (could && has_more(client, appended)) ||
        atomic_load(&client->hurried) || atomic_load(&client->stopping))
        pause = 0;
    transport_work(sender->out.transport, pause < 0 ? 0 : pause > ADOPT_EVERY ? ADOPT_EVERY : (int)pause);
    atomic_store(&client->dozing, false);
    atomic_store(&client->idle, false);
}

static void *run(void *context) {
    struct sender *sender = context;
    struct carbond_client *client = sender->client;
    while (!atomic_load(&client->stopping)) {
        int64_t now = clock_monotonic();
        hurry(sender, now);
        adopt(sender, now);
        drain(sender, now);
        pthread_mutex_lock(&client->lock);
        uint64_t appended = client->spool.appended;
        pthread_mutex_unlock(&client->lock);
        begin(sender, now);
        tidy(sender, now);
        rest(sender, appended);
        now = clock_monotonic();
        for (unsigned i = 0; i < LANES; i++)
            lane_finish(&sender->lanes[i], now);
    }
    return NULL;
}

/* -- its life ---------------------------------------------------------------------------------------------------------------- */

/* It takes no signals: they are the program's. */
static bool start_thread(struct sender *sender) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = pthread_create(&sender->thread, NULL, run, sender);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (problem == 0)
        pthread_setname_np(sender->thread, "carbond");
    return problem == 0;
}

static void free_sender(struct sender *sender) {
    for (unsigned i = 0; i < LANES; i++)
        lane_destroy(&sender->lanes[i]);
    transport_free(sender->out.transport);
    free(sender);
}

static bool furnish(struct sender *sender) {
    struct carbond_client *client = sender->client;
    struct id seed = id_new(&client->ids);
    struct outbound *out = &sender->out;
    *out = (struct outbound){.client = client, .server = atomic_load(&client->server)};
    out->told = client->options.server != CARBOND_SERVER_AUTO;
    memcpy(&out->random, seed.bytes + 8, sizeof out->random);
    backoff_init(&out->backoff, client->options.retry_min, client->options.retry_max);
    out->transport = transport_new(&client->options);
    if (!out->transport)
        return false;
    for (unsigned i = 0; i < LANES; i++)
        if (!lane_init(&sender->lanes[i], i, out))
            return false;
    return true;
}

struct sender *sender_start(struct carbond_client *client) {
    struct sender *sender = calloc(1, sizeof *sender);
    if (!sender)
        return NULL;
    sender->client = client;
    if (furnish(sender) && start_thread(sender))
        return sender;
    free_sender(sender);
    return NULL;
}

void sender_halt(struct sender *sender) {
    atomic_store(&sender->client->stopping, true);
    transport_wake(sender->out.transport);
    if (sender->halted || pthread_equal(sender->thread, pthread_self()))
        return;
    pthread_join(sender->thread, NULL);
    sender->halted = true;
}

void sender_stop(struct sender *sender) {
    sender_halt(sender);
    free_sender(sender);
}

void sender_wake(struct sender *sender) {
    transport_wake(sender->out.transport);
}

/* What a child can't free, since the parent's thread may have been in the middle of it. It is kept, so that those who look
 * for leaks find none; `volatile`, since nobody else reads it. */
static struct sender *volatile abandoned;

void sender_abandon(struct sender *sender) {
    transport_forget(sender->out.transport);
    sender->abandoned_before = abandoned;
    abandoned = sender;
}
