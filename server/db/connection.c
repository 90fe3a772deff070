#include "db/connection.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/metrics.h"
#include "db/session.h"

#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    CONFLICT_ATTEMPTS = 4,
    /* A failed connect is not repeated for every request: between two attempts the answer is DB_AWAY at once. */
    RECONNECT_PAUSE = 200 * 1000,
    /* Microseconds. PostgreSQL tells of its own timeout, unless it hangs where none counts: in a commit that waits for a
     * synchronous standby, on its disk, or all of it. */
    SILENCE = 5 * 1000 * 1000,
    NO_SOCKET = -1,
    AHEAD = 2, /* statements that tell the transaction what a session of ours would know */
};

struct db {
    const struct db_settings *settings;
    struct buffer session; /* what it is told as it begins, or, without prepared statements, each time */
    PGconn *connection;    /* NULL: not connected */
    int ahead;             /* of those statements, as many are still to be answered */
    int64_t patience;      /* microseconds for an answer; 0: as long as a statement may take */
    int64_t retry_at;
    bool away_logged;
    bool open;     /* counted among the open connections */
    bool was_open; /* at some time */
    bool silent;   /* a statement got no answer in time: it may still be at work in the session */
    bool locked_out;
    bool kept; /* a session that is lost is not replaced */
    char message[512];
    pthread_mutex_t interrupt_lock; /* guards the two that follow; nothing else is locked under it */
    int socket;                     /* of the connection; NO_SOCKET */
    bool interrupted;
    bool prepared[]; /* by statement index, on this connection */
};

struct db *db_new(const struct db_settings *settings) {
    struct db *db = calloc(1, sizeof *db + (size_t)db_statement_count * sizeof db->prepared[0]);
    if (!db)
        return NULL;
    if (pthread_mutex_init(&db->interrupt_lock, NULL) != 0) {
        free(db);
        return NULL;
    }
    db->settings = settings;
    db->socket = NO_SOCKET;
    (settings->prepared_statements ? session_write_options : session_write_local)(settings, &db->session);
    if (!db->session.failed)
        return db;
    db_free(db);
    return NULL;
}

/* False when it is too late for a connection. */
static bool set_socket(struct db *db, int socket) {
    pthread_mutex_lock(&db->interrupt_lock);
    db->socket = socket;
    bool interrupted = db->interrupted;
    pthread_mutex_unlock(&db->interrupt_lock);
    return !interrupted;
}

static struct db_metrics *metrics_of(const struct db *db) {
    return db->settings->replica ? &db_replica_metrics : &db_metrics;
}

static void count_open(struct db *db) {
    metric_change(&metrics_of(db)->connections, 1);
    metric_count(&metrics_of(db)->reconnects, db->was_open);
    db->open = db->was_open = true;
}

static void count_closed(struct db *db) {
    metric_change(&metrics_of(db)->connections, db->open ? -1 : 0);
    db->open = false;
}

static void disconnect(struct db *db) {
    count_closed(db);
    set_socket(db, NO_SOCKET);
    PQfinish(db->connection);
    db->connection = NULL;
    db->silent = false;
    memset(db->prepared, 0, (size_t)db_statement_count * sizeof db->prepared[0]);
}

void db_free(struct db *db) {
    if (!db)
        return;
    disconnect(db);
    pthread_mutex_destroy(&db->interrupt_lock);
    buffer_free(&db->session);
    free(db);
}

const char *db_message(const struct db *db) {
    return db->message;
}

bool db_was_locked_out(const struct db *db) {
    return db->locked_out;
}

void db_keep_session(struct db *db, bool keep) {
    db->kept = keep;
}

/* Not PQcancel, which may wait for a database that hangs. PostgreSQL looks now and then whether its client is there. */
void db_interrupt(struct db *db) {
    pthread_mutex_lock(&db->interrupt_lock);
    db->interrupted = true;
    if (db->socket != NO_SOCKET)
        shutdown(db->socket, SHUT_RDWR);
    pthread_mutex_unlock(&db->interrupt_lock);
}

/* ---- waiting for an answer */

#define UNANSWERED "no answer in time"

static int64_t deadline_of(const struct db *db) {
    int64_t timeout = (int64_t)db->settings->statement_timeout * 1000 * 1000;
    if (db->patience)
        return clock_monotonic() + db->patience;
    return timeout ? clock_monotonic() + timeout + SILENCE : INT64_MAX;
}

/* Milliseconds for poll. */
static int time_left(int64_t deadline) {
    if (deadline == INT64_MAX)
        return -1;
    int64_t left = deadline - clock_monotonic();
    return left > 0 ? (int)(left / 1000) + 1 : 0;
}

/* Sends what is left to send, and waits until PQgetResult need not wait. False: not by the deadline. That a connection is
 * lost is for PQgetResult to tell. */
static bool is_answered(struct db *db, int64_t deadline) {
    for (;;) {
        bool unsent = PQflush(db->connection) == 1;
        if (!unsent && !PQisBusy(db->connection))
            return true;
        struct pollfd socket = {.fd = PQsocket(db->connection), .events = unsent ? POLLIN | POLLOUT : POLLIN};
        if (poll(&socket, 1, time_left(deadline)) == 0)
            return false;
        if (!PQconsumeInput(db->connection))
            return true;
    }
}

/* NULL: there is no more, or the session has become silent. Of several statements that were sent at once, the rows of the
 * last come one by one, and the end is where they are synchronised. */
static PGresult *next_result(struct db *db, int64_t deadline) {
    while (!(db->silent = !is_answered(db, deadline))) {
        PGresult *result = PQgetResult(db->connection);
        bool at_once = PQpipelineStatus(db->connection) != PQ_PIPELINE_OFF;
        if (!at_once || PQstatus(db->connection) != CONNECTION_OK)
            return result;
        if (!result && --db->ahead == 0)
            PQsetSingleRowMode(db->connection);
        if (!result)
            continue;
        if (PQresultStatus(result) != PGRES_PIPELINE_SYNC)
            return result;
        PQclear(result);
        PQexitPipelineMode(db->connection);
        return NULL;
    }
    return NULL;
}

/* ---- connecting */

#define IGNORED "the session does not heed its options: behind a pooler, say --prepared-statements false"

/* Of a password with a slash, what stands before it is taken for the port. */
static bool has_proper_port(const PQconninfoOption *options) {
    for (const PQconninfoOption *option = options; option->keyword; option++)
        if (strcmp(option->keyword, "port") == 0 && option->val)
            return option->val[strspn(option->val, "0123456789,")] == '\0';
    return true;
}

bool db_url_is_valid(const char *url) {
    PQconninfoOption *options = *url ? PQconninfoParse(url, NULL) : NULL;
    bool valid = options && has_proper_port(options);
    PQconninfoFree(options);
    return valid;
}

/* NULL when out of memory. `options` is NULL where no session is ours. */
static PGconn *open_connection(const struct db_settings *settings, const char *options) {
    /* What stands before the URL it may override; what stands behind it is ours, unless it is NULL. */
    static const char *const names[] = {
        "connect_timeout",  "fallback_application_name",
        "keepalives_idle",  "keepalives_interval",
        "keepalives_count", "tcp_user_timeout",
        "dbname",           "client_encoding",
        "options",          NULL,
    };
    const char *values[] = {"2", "carbond", "10", "5", "3", "20000", settings->url, "UTF8", options, NULL};
    return PQconnectdbParams(names, values, 1);
}

static void note(struct db *db, const char *message) {
    size_t length = message ? strcspn(message, "\n") : 0;
    snprintf(db->message, sizeof db->message, "%.*s", (int)length, message ? message : "");
    db->locked_out = false;
}

/* The log tells once that the database went away, and once that it is back. Without a connection there is no SQLSTATE. Of
 * a replica db/replica.c tells. */
static void log_away(struct db *db, const char *sqlstate) {
    if (db->settings->replica)
        return;
    if (!db->away_logged)
        log_warn("database is away", "sqlstate", sqlstate, "reason", db->message);
    db->away_logged = true;
}

static void ignore_notice(void *context, const PGresult *result) {
    (void)context;
    (void)result;
}

/* For now. */
static bool give_up(struct db *db) {
    log_away(db, NULL);
    disconnect(db);
    db->retry_at = clock_monotonic() + RECONNECT_PAUSE;
    return false;
}

/* Poolers may be told to ignore what a session is told, and then nothing would ever time out. */
static bool heeds_session(struct db *db) {
    char check[SESSION_CHECK_SIZE];
    bool heeds = false;
    int64_t deadline = deadline_of(db);
    PGresult *result;
    session_write_check(db->settings, check);
    note(db, UNANSWERED);
    bool sent = PQsendQuery(db->connection, check);
    while (sent && (result = next_result(db, deadline))) {
        bool told = PQresultStatus(result) == PGRES_TUPLES_OK;
        heeds |= told && strcmp(PQgetvalue(result, 0, 0), "t") == 0;
        if (!heeds)
            note(db, told ? IGNORED : PQresultErrorMessage(result));
        PQclear(result);
    }
    return heeds;
}

static bool connect_now(struct db *db) {
    bool ours = db->settings->prepared_statements; /* the session, from its beginning to its end */
    if (db->kept) {
        if (!db->message[0]) /* else it tells why */
            note(db, "the session was lost");
        return false;
    }
    if (clock_monotonic() < db->retry_at || !set_socket(db, NO_SOCKET))
        return false;
    db->connection = open_connection(db->settings, ours ? db->session.data : NULL);
    if (PQstatus(db->connection) != CONNECTION_OK) {
        note(db, db->connection ? PQerrorMessage(db->connection) : "out of memory");
        return give_up(db);
    }
    count_open(db);
    PQsetNoticeReceiver(db->connection, ignore_notice, NULL);
    if (PQsetnonblocking(db->connection, 1) != 0 || !set_socket(db, PQsocket(db->connection))) {
        disconnect(db);
        return false;
    }
    return !ours || heeds_session(db) || give_up(db);
}

/* Not when it can be reached: it must also do what it is asked. */
static void log_back(struct db *db) {
    if (db->away_logged)
        log_info("database is back");
    db->away_logged = false;
}

/* PostgreSQL says nothing on an idle connection but that it ends it: better to see that now than to lose a statement
 * to it. */
static bool still_open(const struct db *db) {
    struct pollfd idle = {.fd = PQsocket(db->connection), .events = POLLIN};
    return poll(&idle, 1, 0) == 0;
}

/* A session that is silent is waited for: the next would only hang beside it, until PostgreSQL has none left. */
static bool connected(struct db *db) {
    if (db->silent && !is_answered(db, 0)) {
        note(db, UNANSWERED);
        return false;
    }
    if (db->connection && !db->silent && still_open(db))
        return true;
    if (db->connection)
        disconnect(db);
    return connect_now(db);
}

/* ---- what an error means */

enum verdict { VERDICT_CONFLICT = DB_FAILED + 1 };

/* The first that fits. What is neither the client's fault nor ours, and may be over later, is as good as no database. */
static int classify(const char *sqlstate) {
    static const struct {
        const char *prefix;
        int outcome;
    } meanings[] = {
        {"08", DB_AWAY},     /* the connection */
        {"22", DB_REFUSED},  /* a value */
        {"23505", DB_TAKEN}, /* a value that must be unique */
        {"23", DB_REFUSED},  /* a value that breaks another constraint */
        {"25006", DB_AWAY},  /* read-only */
        {"40", VERDICT_CONFLICT},
        {"42501", DB_AWAY}, /* a privilege is missing; or the file system became read-only */
        {"53", DB_AWAY},    /* the disk is full, no memory, too many connections */
        {"55P03", DB_AWAY}, /* a lock_timeout that somebody has set */
        {"57", DB_AWAY},    /* it ends or starts, or the statement took too long */
        {"58", DB_AWAY},    /* its disk does not do what it should */
        {"XX", DB_AWAY},    /* it finds its data damaged */
    };
    if (!sqlstate) /* libpq's own: the connection was lost */
        return DB_AWAY;
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (strncmp(sqlstate, meanings[i].prefix, strlen(meanings[i].prefix)) == 0)
            return meanings[i].outcome;
    return DB_FAILED;
}

/* Somebody attached a partition by hand while the row waited to go into the default one (carbond waits until nobody does:
 * migrations/0010_attach.sql). PostgreSQL reports that as a constraint violated, but of no name. */
static bool missed_its_partition(const char *sqlstate, const PGresult *result) {
    return sqlstate && strcmp(sqlstate, "23514") == 0 && !PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
}

static int judge(struct db *db, const PGresult *result) {
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    note(db, primary ? primary : PQerrorMessage(db->connection));
    db->locked_out = sqlstate && (strcmp(sqlstate, "55P03") == 0 || strcmp(sqlstate, "40P01") == 0);
    return missed_its_partition(sqlstate, result) ? VERDICT_CONFLICT : classify(sqlstate);
}

static int failure(struct db *db, const char *statement, const PGresult *result) {
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    int outcome = judge(db, result);
    if (outcome == DB_FAILED)
        log_error("statement failed", "statement", statement, "sqlstate", sqlstate, "reason", db->message);
    if (outcome == DB_AWAY)
        log_away(db, sqlstate);
    return outcome;
}

/* What the caller is told in the end: a conflict that does not end is as good as no database. */
static enum db_outcome counted(const struct db *db, int outcome) {
    enum db_outcome told = outcome == VERDICT_CONFLICT ? DB_AWAY : (enum db_outcome)outcome;
    metric_count(&metrics_of(db)->statements[told], 1);
    return told;
}

/* ---- statements */

static int prepare(struct db *db, const struct db_statement *statement, int64_t deadline) {
    int outcome = DB_OK;
    PGresult *result;
    if (!PQsendPrepare(db->connection, statement->name, statement->text, 0, NULL)) {
        note(db, PQerrorMessage(db->connection));
        return DB_AWAY;
    }
    while ((result = next_result(db, deadline))) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            outcome = failure(db, statement->name, result);
        PQclear(result);
    }
    db->prepared[statement->index] = outcome == DB_OK;
    return outcome;
}

/* The parameters as libpq wants them. */
struct parameters {
    const char *values[DB_PARAMETERS];
    int sizes[DB_PARAMETERS];
    int formats[DB_PARAMETERS];
};

static bool send_prepared(PGconn *connection, const struct db_statement *statement,
                          const struct parameters *parameters) {
    return PQsendQueryPrepared(connection, statement->name, statement->parameter_count, parameters->values,
                               parameters->sizes, parameters->formats, 0) &&
           PQsetSingleRowMode(connection);
}

static bool send_text(PGconn *connection, const char *text) {
    return PQsendQueryParams(connection, text, 0, NULL, NULL, NULL, NULL, 0);
}

/* All at once, which makes it one transaction: it needs nothing of the session that it comes to, and leaves nothing there. */
static bool send_whole(struct db *db, const struct db_statement *statement,
                       const struct parameters *parameters) {
    PGconn *connection = db->connection;
    db->ahead = AHEAD;
    return PQenterPipelineMode(connection) && send_text(connection, SESSION_ISOLATION) &&
           send_text(connection, db->session.data) &&
           PQsendQueryParams(connection, statement->text, statement->parameter_count, NULL,
                             parameters->values, parameters->sizes, parameters->formats, 0) &&
           PQpipelineSync(connection);
}

static int send_statement(struct db *db, const struct db_statement *statement,
                          const struct parameters *parameters, int64_t deadline) {
    bool sent;
    if (db->settings->prepared_statements) {
        int outcome = db->prepared[statement->index] ? DB_OK : prepare(db, statement, deadline);
        if (outcome != DB_OK || db->silent)
            return outcome;
        sent = send_prepared(db->connection, statement, parameters);
    } else {
        sent = send_whole(db, statement, parameters);
    }
    if (sent)
        return DB_OK;
    note(db, PQerrorMessage(db->connection));
    return DB_AWAY;
}

static struct db_row row_of(const PGresult *result) {
    struct db_row row = {.count = PQnfields(result)};
    int room = (int)(sizeof row.columns / sizeof row.columns[0]);
    if (row.count > room)
        row.count = room;
    for (int column = 0; column < row.count; column++)
        if (!PQgetisnull(result, 0, column))
            row.columns[column] = PQgetvalue(result, 0, column);
    return row;
}

struct reading {
    db_row_handler *handler;
    void *context;
    bool stopped; /* the handler wants no more */
    bool any;
};

static int take_result(struct db *db, const struct db_statement *statement, const PGresult *result,
                       struct reading *reading) {
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE: {
        struct db_row row = row_of(result);
        reading->any = true;
        reading->stopped = !reading->handler(reading->context, &row);
        return DB_OK;
    }
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK: return DB_OK;
    default: return failure(db, statement->name, result);
    }
}

/* A connection that is lost may have brought all rows, and not that they are committed. */
static int at_the_end(struct db *db) {
    if (PQpipelineStatus(db->connection) == PQ_PIPELINE_OFF)
        return DB_OK;
    note(db, PQerrorMessage(db->connection));
    log_away(db, NULL);
    return DB_AWAY;
}

static int attempt(struct db *db, const struct db_statement *statement, const struct parameters *parameters,
                   struct reading *reading) {
    if (!connected(db))
        return DB_AWAY;
    int64_t deadline = deadline_of(db);
    int outcome = send_statement(db, statement, parameters, deadline);
    PGresult *result;
    while (outcome == DB_OK && !reading->stopped && !db->silent && (result = next_result(db, deadline))) {
        outcome = take_result(db, statement, result, reading);
        PQclear(result);
    }
    /* Nobody wants the rest. And what cannot be done now in this session (it is read-only, perhaps) may be possible in
     * another. */
    bool over = reading->stopped || outcome == DB_AWAY;
    while (!over && !db->silent && (result = next_result(db, deadline)))
        PQclear(result);
    if (db->silent) {
        note(db, UNANSWERED);
        log_away(db, NULL);
        return DB_AWAY;
    }
    if (outcome == DB_OK && !over)
        outcome = at_the_end(db);
    if (over || PQstatus(db->connection) != CONNECTION_OK)
        disconnect(db);
    if (outcome == DB_OK)
        log_back(db);
    return outcome;
}

static enum db_outcome query(struct db *db, const struct db_statement *statement,
                             const struct parameters *parameters, db_row_handler *handler, void *context) {
    struct reading reading = {.handler = handler, .context = context};
    int outcome = DB_AWAY;
    db->message[0] = '\0';
    for (int attempts = 0; attempts < CONFLICT_ATTEMPTS; attempts++) {
        outcome = attempt(db, statement, parameters, &reading);
        if (outcome != VERDICT_CONFLICT || reading.any || db->settings->replica)
            break;
    }
    return counted(db, outcome);
}

enum db_outcome db_query(struct db *db, const struct db_statement *statement, const char *const *values,
                         db_row_handler *handler, void *context) {
    struct parameters parameters = {0};
    for (int i = 0; i < statement->parameter_count; i++)
        parameters.values[i] = values[i];
    return query(db, statement, &parameters, handler, context);
}

enum db_outcome db_query_values(struct db *db, const struct db_statement *statement,
                                const struct db_value *values, db_row_handler *handler, void *context) {
    struct parameters parameters;
    for (int i = 0; i < statement->parameter_count; i++) {
        parameters.values[i] = values[i].data;
        parameters.sizes[i] = values[i].size;
        parameters.formats[i] = values[i].binary;
    }
    return query(db, statement, &parameters, handler, context);
}

struct first_value {
    char **value;
    bool done;
    bool failed;
};

static bool keep_first(void *context, const struct db_row *row) {
    struct first_value *first = context;
    if (!first->done && row->columns[0]) {
        *first->value = strdup(row->columns[0]);
        first->failed = !*first->value;
    }
    first->done = true;
    return true;
}

enum db_outcome db_query_text(struct db *db, const struct db_statement *statement, const char *const *values,
                              char **value) {
    struct first_value first = {.value = value};
    *value = NULL;
    enum db_outcome outcome = db_query(db, statement, values, keep_first, &first);
    if (outcome == DB_OK && !first.failed)
        return DB_OK;
    free(*value);
    *value = NULL;
    return outcome == DB_OK ? DB_FAILED : outcome;
}

enum db_outcome db_query_soon(struct db *db, const struct db_statement *statement, const char *const *values,
                              int milliseconds, char **value) {
    db->patience = (int64_t)milliseconds * 1000;
    enum db_outcome outcome = db_query_text(db, statement, values, value);
    db->patience = 0;
    return outcome;
}

enum db_outcome db_script(struct db *db, const char *text) {
    if (!connected(db))
        return counted(db, DB_AWAY);
    PGresult *result = PQexec(db->connection, text);
    int outcome = DB_OK;
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        outcome = judge(db, result);
    PQclear(result);
    if (PQstatus(db->connection) != CONNECTION_OK)
        disconnect(db);
    return counted(db, outcome);
}
