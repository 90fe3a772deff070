/* What servers answer. Nothing is refused for good unless a `detail` comes with it; an answer to a batch is an exact account
 * of what was sent, each rejection once and with a reason, or it is none. The first byte says how many were sent, the
 * second one the status; the rest is the body. */
#include "fuzz.h"

#include "answer.h"

#include <jansson.h>

static bool is_json(const char *text) {
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    json_decref(value);
    return value != NULL;
}

static void check_outcome(int status, const char *body, size_t length) {
    char *detail = answer_detail(body, length);
    enum outcome outcome = answer_outcome(status, body, length), without = answer_outcome(status, "", 0);
    HOLDS(!detail || is_json(detail));
    HOLDS((outcome == OUTCOME_DONE) == (status == 200 || status == 201));
    HOLDS(without != OUTCOME_REFUSED);
    HOLDS(outcome == without || (outcome == OUTCOME_REFUSED && without == OUTCOME_STRANGE && detail));
    free(detail);
}

static void check_run_id(const char *body, size_t length) {
    struct id id, again;
    char text[ID_TEXT_SIZE];
    if (!answer_run_id(body, length, &id))
        return;
    id_format(&id, text);
    HOLDS(id_parse(text, &again) && id_equal(&id, &again));
}

static void check_rejections(const struct batch_answer *answer, size_t sent) {
    for (size_t i = 0; i < answer->listed; i++) {
        const struct rejection *rejection = &answer->rejections[i];
        HOLDS(rejection->index < sent && (i == 0 || rejection->index > rejection[-1].index));
        HOLDS(rejection->status >= 400 && rejection->status <= 599);
        HOLDS(rejection->detail && is_json(rejection->detail));
    }
}

static void check_batch(const char *body, size_t length, size_t sent) {
    struct batch_answer answer, other;
    bool exact = answer_batch(body, length, sent, &answer);
    if (exact) {
        HOLDS(answer.accepted + answer.duplicates + answer.unlisted + answer.listed == sent);
        HOLDS(!answer_batch(body, length, sent + 1, &other) && !answer_batch(body, length, sent - 1, &other));
        HOLDS(!answer_batch(body, length - 1, sent, &other) || body[length - 1] <= ' ');
        answer_batch_free(&other);
        check_rejections(&answer, sent);
    }
    HOLDS(exact || (!answer.rejections && answer.listed == 0));
    answer_batch_free(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int statuses[] = {0,   200, 201, 202, 204, 301, 400, 401, 403, 404, 405, 408,
                                   409, 413, 415, 418, 422, 425, 429, 500, 502, 503, 504, 599};
    if (size < 2)
        return 0;
    char *body = fuzz_text(data + 2, size - 2);
    check_outcome(statuses[data[1] % COUNT(statuses)], body, size - 2);
    check_run_id(body, size - 2);
    check_batch(body, size - 2, data[0]);
    free(body);
    return 0;
}
