#include "dialect.h"

enum { NONE = -1 };

/* AUTO begins as a carbond: both know /runs, and the id in the answer tells which one it is. */
static const struct dialect DIALECTS[] = {
    [CARBOND_SERVER_AUTO] = {"a server", "/runs", "/emissions/batch", true},
    [CARBOND_SERVER_CARBOND] = {"carbond", "/runs", "/emissions/batch", true},
    [CARBOND_SERVER_CODECARBON_1] = {"CodeCarbon's server, first generation", "/run", "/emission", false},
    [CARBOND_SERVER_CODECARBON_2] = {"CodeCarbon's server, second generation", "/runs", "/emissions", false},
};

/* What is tried after a path was not there. */
static const int AFTER_RUNS[] = {
    [CARBOND_SERVER_AUTO] = CARBOND_SERVER_CODECARBON_1,
    [CARBOND_SERVER_CARBOND] = NONE,
    [CARBOND_SERVER_CODECARBON_1] = NONE,
    [CARBOND_SERVER_CODECARBON_2] = CARBOND_SERVER_CODECARBON_1,
};
static const int AFTER_EMISSIONS[] = {
    [CARBOND_SERVER_AUTO] = CARBOND_SERVER_CODECARBON_2,
    [CARBOND_SERVER_CARBOND] = CARBOND_SERVER_CODECARBON_2,
    [CARBOND_SERVER_CODECARBON_1] = NONE,
    [CARBOND_SERVER_CODECARBON_2] = CARBOND_SERVER_CODECARBON_1,
};

const struct dialect *dialect_of(const struct outbound *out) {
    return &DIALECTS[out->server];
}

static void speak(struct outbound *out, int server) {
    if (server == out->server)
        return;
    out->server = server;
    out->emissions_proven = false;
    atomic_store(&out->client->server, server);
    log_write(&out->client->log, CARBOND_LOG_INFO, "speaking to %s", DIALECTS[server].name);
}

bool dialect_try_next(struct outbound *out, enum lane_work work) {
    bool proven = work == LANE_CREATING ? out->runs_proven : out->emissions_proven;
    int next = work == LANE_CREATING ? AFTER_RUNS[out->server] : AFTER_EMISSIONS[out->server];
    if (out->told || proven)
        return false;
    speak(out, next == NONE ? CARBOND_SERVER_AUTO : next);
    return next != NONE;
}

void dialect_note_creation(struct outbound *out, bool keeps_id) {
    out->runs_proven = true;
    if (out->server == CARBOND_SERVER_AUTO)
        speak(out, keeps_id ? CARBOND_SERVER_CARBOND : CARBOND_SERVER_CODECARBON_2);
}
