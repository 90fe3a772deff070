#include "answer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* What is not here: 2xx, 3xx and the rest of 4xx are strange, 5xx is for later. */
static const struct {
    int status;
    enum outcome outcome;
} OUTCOMES[] = {
    {0, OUTCOME_LATER},          {200, OUTCOME_DONE},         {201, OUTCOME_DONE},    {400, OUTCOME_REFUSED},
    {401, OUTCOME_UNAUTHORIZED}, {403, OUTCOME_UNAUTHORIZED}, {404, OUTCOME_REFUSED}, {405, OUTCOME_NO_ROUTE},
    {408, OUTCOME_LATER},        {409, OUTCOME_REFUSED},      {413, OUTCOME_REFUSED}, {422, OUTCOME_REFUSED},
    {425, OUTCOME_LATER},        {429, OUTCOME_LATER},
};

static enum outcome outcome_of(int status) {
    for (size_t i = 0; i < sizeof OUTCOMES / sizeof *OUTCOMES; i++)
        if (OUTCOMES[i].status == status)
            return OUTCOMES[i].outcome;
    return status >= 500 ? OUTCOME_LATER : OUTCOME_STRANGE;
}

static json_t *parse(const char *body, size_t length) {
    return length > 0 ? json_loadb(body, length, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL) : NULL;
}

char *answer_detail(const char *body, size_t length) {
    json_t *answer = parse(body, length);
    const json_t *detail = json_object_get(answer, "detail");
    char *text = detail ? json_dumps(detail, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(answer);
    return text;
}

enum outcome answer_outcome(int status, const char *body, size_t length) {
    enum outcome outcome = outcome_of(status);
    if (outcome != OUTCOME_REFUSED)
        return outcome;
    char *detail = answer_detail(body, length);
    free(detail);
    return detail ? OUTCOME_REFUSED : OUTCOME_STRANGE;
}

bool answer_run_id(const char *body, size_t length, struct id *id) {
    json_t *answer = parse(body, length);
    const char *text = json_string_value(json_object_get(answer, "id"));
    bool good = text && id_parse(text, id);
    json_decref(answer);
    return good;
}

/* -- batches --------------------------------------------------------------------------------------------------------------- */

static bool read_count(const json_t *answer, const char *name, size_t most, size_t *count) {
    const json_t *value = json_object_get(answer, name);
    if (!json_is_integer(value))
        return false;
    json_int_t number = json_integer_value(value);
    *count = (size_t)number;
    return number >= 0 && (uint64_t)number <= most;
}

static bool read_rejection(const json_t *from, size_t sent, struct rejection *to) {
    size_t status;
    if (!read_count(from, "index", sent - 1, &to->index) || !read_count(from, "status", 599, &status) ||
        status < 400)
        return false;
    to->status = (int)status;
    const json_t *detail = json_object_get(from, "detail");
    to->detail = detail ? json_dumps(detail, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    return to->detail != NULL;
}

static int compare_rejections(const void *a, const void *b) {
    size_t one = ((const struct rejection *)a)->index, other = ((const struct rejection *)b)->index;
    return (one > other) - (one < other);
}

static bool read_rejections(const json_t *list, size_t sent, struct batch_answer *answer) {
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count > sent)
        return false;
    if (count == 0)
        return true;
    answer->rejections = calloc(count, sizeof *answer->rejections);
    if (!answer->rejections)
        return false;
    for (size_t i = 0; i < count; i++, answer->listed++)
        if (!read_rejection(json_array_get(list, i), sent, &answer->rejections[i]))
            return false;
    qsort(answer->rejections, count, sizeof *answer->rejections, compare_rejections);
    for (size_t i = 1; i < count; i++)
        if (answer->rejections[i].index == answer->rejections[i - 1].index)
            return false;
    return true;
}

static bool read_batch(const json_t *body, size_t sent, struct batch_answer *answer) {
    return read_count(body, "accepted", sent, &answer->accepted) &&
           read_count(body, "duplicates", sent, &answer->duplicates) &&
           read_count(body, "rejected_count", sent, &answer->unlisted) &&
           read_rejections(json_object_get(body, "rejected"), sent, answer) &&
           answer->accepted + answer->duplicates + answer->unlisted + answer->listed == sent;
}

bool answer_batch(const char *body, size_t length, size_t sent, struct batch_answer *answer) {
    *answer = (struct batch_answer){0};
    json_t *parsed = parse(body, length);
    bool good = parsed && sent > 0 && read_batch(parsed, sent, answer);
    json_decref(parsed);
    if (!good)
        answer_batch_free(answer);
    return good;
}

void answer_batch_free(struct batch_answer *answer) {
    for (size_t i = 0; i < answer->listed; i++)
        free(answer->rejections[i].detail);
    free(answer->rejections);
    *answer = (struct batch_answer){0};
}
