#include "ingest/batch.h"

#include "base/clock.h"
#include "base/log.h"
#include "db/array.h"
#include "ingest/ingest_metrics.h"
#include "statements.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The statement's parameters, in its own order: that of their first use in its text. */
enum parameter {
    PAIR_RUNS,
    PAIR_USERS,
    PAIR_PROJECTS,
    PAIR_EVERYWHERE,
    PAIR_EMISSIONS,
    PAIRS,
    RUN_IDS,
    TIMESTAMPS,
    IDS,
    NUMBERS, /* and so on, in the order of emission_number_names */
    PARAMETERS = NUMBERS + EMISSION_NUMBERS
};

struct batch {
    struct buffer arrays[PARAMETERS]; /* kept for their memory */
};

/* A statement that was edited and no longer fits is found by the first start of a server. */
static bool fits(const struct db_statement *statement) {
    static const char *const names[NUMBERS] = {
        "pair_runs", "pair_users", "pair_projects", "pair_everywhere", "pair_emissions", "pairs",
        "run_ids",   "timestamps", "ids",
    };
    if (statement->parameter_count != PARAMETERS)
        return false;
    for (int i = 0; i < PARAMETERS; i++)
        if (strcmp(statement->parameters[i], i < NUMBERS ? names[i] : emission_number_names[i - NUMBERS]) !=
            0)
            return false;
    return true;
}

struct batch *batch_new(void) {
    if (!fits(&sql_emission_store) || !fits(&sql_emission_append))
        abort();
    return calloc(1, sizeof(struct batch));
}

void batch_free(struct batch *batch) {
    for (int i = 0; batch && i < PARAMETERS; i++)
        buffer_free(&batch->arrays[i]);
    free(batch);
}

/* ---- order */

static int compare_rows(const void *left, const void *right) {
    const struct batch_row *a = left, *b = right;
    int order = emission_compare(a->emission, b->emission);
    return order != 0 ? order : memcmp(a->holder, b->holder, sizeof *a->holder);
}

static bool are_sorted(const struct batch_row *rows, size_t count) {
    for (size_t i = 1; i < count; i++)
        if (compare_rows(&rows[i - 1], &rows[i]) > 0)
            return false;
    return true;
}

/* What a tracker sends is in order already. */
void batch_sort(struct batch_row *rows, size_t count) {
    if (!are_sorted(rows, count))
        qsort(rows, count, sizeof *rows, compare_rows);
}

static bool same_pair(const struct batch_row *a, const struct batch_row *b) {
    return memcmp(&a->emission->run, &b->emission->run, sizeof a->emission->run) == 0 &&
           memcmp(a->holder, b->holder, sizeof *a->holder) == 0;
}

/* Numbers the rows' pairs from 1 on; neighbours share one. Returns how many there are. */
static int number_pairs(struct batch_row *rows, size_t count) {
    int pairs = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !same_pair(&rows[i - 1], &rows[i]))
            pairs++;
        rows[i].pair = pairs;
    }
    return pairs;
}

/* ---- the statement's parameters */

static void put_id(struct buffer *array, bool there, const struct id *id) {
    if (there)
        db_array_id(array, id);
    else
        db_array_null(array);
}

static void put_pairs(struct buffer arrays[PARAMETERS], const struct batch_row *rows, size_t count,
                      size_t pairs) {
    db_array_begin(&arrays[PAIR_RUNS], DB_UUID, pairs);
    db_array_begin(&arrays[PAIR_USERS], DB_UUID, pairs);
    db_array_begin(&arrays[PAIR_PROJECTS], DB_UUID, pairs);
    db_array_begin(&arrays[PAIR_EVERYWHERE], DB_BOOLEAN, pairs);
    db_array_begin(&arrays[PAIR_EMISSIONS], DB_INTEGER, pairs);
    for (size_t first = 0, next; first < count; first = next) {
        const struct token_holder *holder = rows[first].holder;
        for (next = first + 1; next < count && rows[next].pair == rows[first].pair;)
            next++;
        db_array_id(&arrays[PAIR_RUNS], &rows[first].emission->run);
        put_id(&arrays[PAIR_USERS], holder->has_user, &holder->user);
        put_id(&arrays[PAIR_PROJECTS], holder->has_project, &holder->project);
        db_array_boolean(&arrays[PAIR_EVERYWHERE], holder->everywhere);
        db_array_integer(&arrays[PAIR_EMISSIONS], (int32_t)(next - first));
    }
}

static void put_emissions(struct buffer arrays[PARAMETERS], const struct batch_row *rows, size_t count) {
    db_array_begin(&arrays[PAIRS], DB_INTEGER, count);
    db_array_begin(&arrays[RUN_IDS], DB_UUID, count);
    db_array_begin(&arrays[TIMESTAMPS], DB_TIMESTAMP, count);
    db_array_begin(&arrays[IDS], DB_UUID, count);
    for (size_t i = 0; i < count; i++) {
        db_array_integer(&arrays[PAIRS], rows[i].pair);
        db_array_id(&arrays[RUN_IDS], &rows[i].emission->run);
        db_array_timestamp(&arrays[TIMESTAMPS], rows[i].emission->timestamp);
        db_array_id(&arrays[IDS], &rows[i].emission->id);
    }
}

static void put_number(struct buffer *array, enum emission_number number, const struct batch_row *rows,
                       size_t count) {
    db_array_begin(array, DB_DOUBLE, count);
    for (size_t i = 0; i < count; i++) {
        double value = rows[i].emission->numbers[number];
        if (isnan(value))
            db_array_null(array);
        else
            db_array_double(array, value);
    }
}

/* False when out of memory. */
static bool put_parameters(struct batch *batch, struct batch_row *rows, size_t count,
                           struct db_value values[PARAMETERS]) {
    int pairs = number_pairs(rows, count);
    put_pairs(batch->arrays, rows, count, (size_t)pairs);
    put_emissions(batch->arrays, rows, count);
    for (int number = 0; number < EMISSION_NUMBERS; number++)
        put_number(&batch->arrays[NUMBERS + number], (enum emission_number)number, rows, count);
    for (int i = 0; i < PARAMETERS; i++) {
        values[i] = db_array_value(&batch->arrays[i]);
        if (!batch->arrays[i].failed)
            continue;
        buffer_free(&batch->arrays[i]);
        return false;
    }
    return true;
}

/* ---- the statement's answer */

struct reading {
    struct batch_row *rows;
    size_t count;
    size_t stored; /* as the statement counts */
};

/* The next number of an array's text, {7,8,9}; 0 at its end. */
static size_t next_number(const char **text) {
    while (**text == '{' || **text == ',')
        (*text)++;
    char *end;
    size_t number = strtoul(*text, &end, 10);
    *text = end;
    return number;
}

static void judge_pairs(const struct reading *reading, const char *pairs, enum ingest_verdict verdict) {
    size_t at = 0, pair;
    while (pairs && (pair = next_number(&pairs))) {
        while (at < reading->count && (size_t)reading->rows[at].pair < pair)
            at++;
        for (; at < reading->count && (size_t)reading->rows[at].pair == pair; at++)
            *reading->rows[at].verdict = (unsigned char)verdict;
    }
}

static void judge_emissions(const struct reading *reading, const char *numbers, enum ingest_verdict verdict) {
    size_t number;
    while (numbers && (number = next_number(&numbers)))
        *reading->rows[number - 1].verdict = (unsigned char)verdict;
}

static bool take_answer(void *context, const struct db_row *row) {
    struct reading *reading = context;
    judge_pairs(reading, row->columns[0], INGEST_NO_RUN);
    judge_pairs(reading, row->columns[1], INGEST_FORBIDDEN);
    judge_emissions(reading, row->columns[2], INGEST_DUPLICATE);
    judge_emissions(reading, row->columns[4], INGEST_LATE);
    reading->stored = strtoul(row->columns[3], NULL, 10);
    return true;
}

/* Of an emission that is in the batch twice, the statement tells only that it is stored. Returns how many are. */
static size_t judge_repeats(struct batch_row *rows, size_t count) {
    const struct emission *last = NULL;
    size_t stored = 0;
    for (size_t i = 0; i < count; i++) {
        if (*rows[i].verdict != INGEST_STORED)
            continue;
        if (last && emission_compare(last, rows[i].emission) == 0)
            *rows[i].verdict = INGEST_DUPLICATE;
        else
            stored++;
        last = rows[i].emission;
    }
    return stored;
}

/* Nobody is told that an emission is stored unless the statement counts it, too. */
static enum db_outcome check_count(const struct reading *reading, size_t stored) {
    if (stored == reading->stored)
        return DB_OK;
    log_error("a batch was misread", "stored", log_number((long long)reading->stored).text, "read",
              log_number((long long)stored).text);
    return DB_FAILED;
}

/* ---- the whole */

/* Whether each emission is of another run, and none can be stored already. */
static bool are_usual(const struct batch_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].job->fresh)
            return false;
        if (i > 0 && memcmp(&rows[i - 1].emission->run, &rows[i].emission->run, sizeof(struct id)) == 0)
            return false;
    }
    return true;
}

static enum db_outcome attempt(struct db *db, const struct db_value *values, struct batch_row *rows,
                               size_t count) {
    struct reading reading = {.rows = rows, .count = count};
    bool usual = are_usual(rows, count);
    const struct db_statement *statement = usual ? &sql_emission_append : &sql_emission_store;
    for (size_t i = 0; i < count; i++)
        *rows[i].verdict = INGEST_STORED;
    enum db_outcome outcome = db_query_values(db, statement, values, take_answer, &reading);
    for (size_t i = 0; outcome != DB_OK && i < count; i++)
        rows[i].job->fresh = false;
    if (usual && outcome == DB_TAKEN)
        return attempt(db, values, rows, count);
    return outcome == DB_OK ? check_count(&reading, judge_repeats(rows, count)) : outcome;
}

enum db_outcome batch_store(struct batch *batch, struct db *db, struct batch_row *rows, size_t count) {
    struct db_value values[PARAMETERS];
    if (!put_parameters(batch, rows, count, values))
        return DB_FAILED;
    int64_t began = clock_monotonic();
    enum db_outcome outcome = attempt(db, values, rows, count);
    if (outcome != DB_OK)
        return outcome;
    metric_observe(&ingest_metrics.commit, clock_monotonic() - began);
    metric_observe(&ingest_metrics.batch, (int64_t)count);
    return DB_OK;
}
