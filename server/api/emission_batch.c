#include "api/emission_batch.h"

#include "api/batch_reader.h"
#include "api/call.h"
#include "api/emission_reader.h"
#include "api/emission_sender.h"
#include "api/refusal.h"
#include "api/validate.h"
#include "base/json.h"
#include "http/decompress.h"
#include "ingest/ingest.h"
#include "ingest/ingest_metrics.h"

#include <stdlib.h>
#include <string.h>

enum {
    LISTED = 100,             /* rejections that the answer lists */
    ELEMENT_SIZE = 64 * 1024, /* bytes, as for an emission alone */
    FIRST_CAPACITY = 64,
};

struct rejection {
    size_t index;
    int status;
    json_t *id;     /* NULL: none that can be read */
    json_t *detail; /* as the emission alone would have got it */
};

/* The rejections of one stage, in order: the first ones in full, all of them counted. */
struct rejections {
    struct rejection list[LISTED];
    size_t listed;
    size_t count;
};

/* One batch on its way. */
struct group {
    struct ingest_job job; /* first: the writer gives it back */
    struct http_request *request;
    const struct emission_reader *reader;
    size_t elements; /* read so far */
    size_t *indexes; /* of the emissions among the elements */
    size_t capacity; /* of the emissions and their companions */
    bool lines;      /* NDJSON: what is no JSON spoils its line alone */
    bool out_of_memory;
    bool too_many;
    struct rejections unread;  /* by what was sent */
    struct rejections refused; /* by what is in the database */
};

/* ---- the group */

static struct group *group_new(struct call *call) {
    struct group *group = calloc(1, sizeof *group);
    if (!group)
        return NULL;
    group->request = call->request;
    group->reader = &call->api->batch_reader;
    group->lines = http_request_body_kind(call->request) == HTTP_BODY_NDJSON;
    group->job.arrived = http_request_arrival(call->request);
    emission_sender_of_call(call, &group->job);
    return group;
}

static void free_rejections(struct rejections *rejections) {
    for (size_t i = 0; i < rejections->listed; i++) {
        json_decref(rejections->list[i].id);
        json_decref(rejections->list[i].detail);
    }
}

static void group_free(struct group *group) {
    free_rejections(&group->unread);
    free_rejections(&group->refused);
    free(group->job.emissions);
    free(group->job.verdicts);
    free(group->indexes);
    free(group);
}

static bool make_room(struct group *group) {
    if (group->job.count < group->capacity)
        return true;
    size_t capacity = group->capacity ? 2 * group->capacity : FIRST_CAPACITY;
    struct emission *emissions = realloc(group->job.emissions, capacity * sizeof *emissions);
    if (emissions)
        group->job.emissions = emissions;
    unsigned char *verdicts = realloc(group->job.verdicts, capacity * sizeof *verdicts);
    if (verdicts)
        group->job.verdicts = verdicts;
    size_t *indexes = realloc(group->indexes, capacity * sizeof *indexes);
    if (indexes)
        group->indexes = indexes;
    if (!emissions || !verdicts || !indexes)
        return false;
    group->capacity = capacity;
    return true;
}

/* ---- rejections */

/* Takes ownership of the id and the detail, either of which may be NULL. */
static void reject(struct rejections *rejections, size_t index, int status, json_t *id, json_t *detail) {
    rejections->count++;
    if (rejections->listed < LISTED) {
        rejections->list[rejections->listed++] = (struct rejection){index, status, id, detail};
        return;
    }
    json_decref(id);
    json_decref(detail);
}

static json_t *id_of_document(const json_t *document) {
    const char *text = json_string_value(json_object_get(document, "id"));
    struct id id;
    char normal[ID_TEXT_SIZE];
    if (!text || !id_parse(text, &id))
        return NULL;
    id_format(&id, normal);
    return json_string(normal);
}

static json_t *id_of_emission(const struct emission *emission) {
    char text[ID_TEXT_SIZE];
    id_format(&emission->id, text);
    return json_string(text);
}

/* ---- reading */

/* An element that the quick reader does not vouch for. False: it is no JSON. */
static bool judge_element(struct group *group, const char *text, size_t size, struct emission *emission) {
    struct arguments arguments = {.count = 0};
    struct faults faults = {0};
    json_t *document;
    bool is_json = validate_json(text, size, &body_batch_emission, &document, &arguments, &faults);
    group->out_of_memory |= faults.failed;
    if (!faults_any(&faults)) {
        emission_of_arguments(&arguments, emission);
        group->job.count++;
    } else if (is_json || group->lines) {
        reject(&group->unread, group->elements, 422, id_of_document(document), json_incref(faults.list));
    }
    json_decref(faults.list);
    json_decref(document);
    return is_json || group->lines;
}

/* False stops the reading. */
static bool take_element(void *context, const char *text, size_t size) {
    struct group *group = context;
    bool well = true, has_id;
    group->too_many = group->elements == EMISSION_BATCH_SIZE;
    group->out_of_memory |= !make_room(group);
    if (group->too_many || group->out_of_memory)
        return false;
    struct emission *emission = &group->job.emissions[group->job.count];
    group->indexes[group->job.count] = group->elements;
    if (size > ELEMENT_SIZE)
        reject(&group->unread, group->elements, refusal_status(REFUSAL_TOO_LARGE), NULL,
               json_string(refusal_sentence(REFUSAL_TOO_LARGE)));
    else if (emission_read(group->reader, text, size, emission, &has_id))
        group->job.count++;
    else
        well = judge_element(group, text, size, emission);
    group->elements++;
    return well && !group->out_of_memory;
}

/* ---- the whole body */

static void refuse_body(struct call *call, const char *type, const char *message) {
    faults_add(&call->faults, "body", NULL, type, message);
    faults_reply(&call->faults, call->request);
}

/* False: an answer was left. */
static bool read_elements(struct call *call, struct group *group, const char *text, size_t size) {
    json_lacked_memory();
    enum batch_found found =
        group->lines ? batch_read_lines(text, size, take_element, group) ? BATCH_FOUND : BATCH_STOPPED
                     : batch_read_document(text, size, take_element, group);
    group->out_of_memory |= json_lacked_memory();
    if (found == BATCH_FOUND && !group->out_of_memory)
        return true;
    if (group->out_of_memory)
        refusal_reply(REFUSAL_FAILED, call->request);
    else if (group->too_many)
        refusal_reply(REFUSAL_TOO_MANY, call->request);
    else if (found == BATCH_NO_LIST)
        refuse_body(call, "missing", "The body should be an object with a list of emissions");
    else
        refuse_body(call, "json_invalid", "Not valid JSON");
    return false;
}

static bool unpack(struct call *call, const char *text, size_t size, struct buffer *plain) {
    switch (decompress(text, size, EMISSION_BATCH_LIMIT, plain)) {
    case DECOMPRESSED: return true;
    case DECOMPRESS_MALFORMED:
        http_reply_error(call->request, 400, "The body is not proper gzip");
        return false;
    case DECOMPRESS_TOO_LARGE: refusal_reply(REFUSAL_TOO_LARGE, call->request); return false;
    case DECOMPRESS_NO_MEMORY: break;
    }
    refusal_reply(REFUSAL_FAILED, call->request);
    return false;
}

static bool read_body(struct call *call, struct group *group) {
    struct buffer plain = {0};
    size_t size;
    const char *text = http_request_body(call->request, &size);
    if (!http_request_is_gzipped(call->request))
        return read_elements(call, group, text, size);
    bool well = unpack(call, text, size, &plain) &&
                read_elements(call, group, plain.data ? plain.data : "", plain.size);
    buffer_free(&plain);
    return well;
}

/* ---- the answer, on the writer's thread */

/* A new reference; NULL when out of memory. */
static json_t *fault_of(enum ingest_verdict verdict) {
    struct faults faults = {0};
    emission_fault(verdict, &faults);
    if (!faults.failed)
        return faults.list;
    json_decref(faults.list);
    return NULL;
}

static void reject_refused(struct group *group, size_t i) {
    enum ingest_verdict verdict = (enum ingest_verdict)group->job.verdicts[i];
    if (group->refused.listed == LISTED) { /* nobody will see it */
        group->refused.count++;
        return;
    }
    json_t *id = id_of_emission(&group->job.emissions[i]);
    if (verdict == INGEST_REFUSED || verdict == INGEST_LATE) {
        reject(&group->refused, group->indexes[i], 422, id, fault_of(verdict));
        return;
    }
    enum refusal refusal = verdict == INGEST_NO_RUN ? REFUSAL_NO_RUN : REFUSAL_FORBIDDEN;
    reject(&group->refused, group->indexes[i], refusal_status(refusal), id,
           json_string(refusal_sentence(refusal)));
}

/* Those of both stages in the order of the elements. */
static json_t *list_rejections(const struct group *group) {
    json_t *list = json_array();
    size_t u = 0, r = 0;
    while (list && json_array_size(list) < LISTED &&
           (u < group->unread.listed || r < group->refused.listed)) {
        bool unread =
            r == group->refused.listed ||
            (u < group->unread.listed && group->unread.list[u].index < group->refused.list[r].index);
        const struct rejection *next = unread ? &group->unread.list[u++] : &group->refused.list[r++];
        json_t *entry = json_pack("{s:I,s:O?,s:i,s:O}", "index", (json_int_t)next->index, "id", next->id,
                                  "status", next->status, "detail", next->detail);
        if (json_array_append_new(list, entry) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static char *account(struct group *group) {
    json_int_t accepted = 0, duplicates = 0;
    for (size_t i = 0; i < group->job.count; i++) {
        switch ((enum ingest_verdict)group->job.verdicts[i]) {
        case INGEST_STORED: accepted++; break;
        case INGEST_DUPLICATE: duplicates++; break;
        case INGEST_NO_RUN:
        case INGEST_FORBIDDEN:
        case INGEST_REFUSED:
        case INGEST_LATE: reject_refused(group, i); break;
        }
    }
    json_t *list = list_rejections(group);
    json_int_t rest = (json_int_t)(group->unread.count + group->refused.count - json_array_size(list));
    return json_text(list ? json_pack("{s:I,s:I,s:o,s:I}", "accepted", accepted, "duplicates", duplicates,
                                      "rejected", list, "rejected_count", rest)
                          : NULL);
}

static void reply_group(struct group *group) {
    if (group->job.outcome != INGEST_DONE) {
        refusal_reply(emission_refusal(group->job.outcome), group->request);
        return;
    }
    metric_count(&ingest_metrics.rejected, (int64_t)group->unread.count);
    http_reply_json(group->request, 200, account(group));
}

static void answer(struct ingest_job *job) {
    struct group *group = (struct group *)job;
    reply_group(group);
    http_request_answer(group->request);
    group_free(group);
}

/* ---- the whole */

/* The writer may answer before this returns: nothing is ours afterwards. */
static void submit(struct api *api, struct group *group) {
    group->job.done = answer;
    http_request_drop_body(group->request);
    http_request_defer(group->request);
    if (ingest_submit(api->ingest, &group->job))
        return;
    refusal_reply(REFUSAL_OVERLOADED, group->request);
    http_request_answer(group->request);
    group_free(group);
}

void emission_batch_create(struct call *call) {
    struct group *group = group_new(call);
    if (!group) {
        refusal_reply(REFUSAL_FAILED, call->request);
        return;
    }
    bool well = read_body(call, group);
    if (well && group->job.count > 0) {
        submit(call->api, group);
        return;
    }
    if (well)
        reply_group(group); /* there is nothing to store */
    group_free(group);
}
