#include "api/emissions.h"

#include "api/call.h"
#include "api/emission_reader.h"
#include "api/emission_sender.h"
#include "api/refusal.h"
#include "ingest/ingest.h"

#include <stdlib.h>

/* One request on its way. */
struct single {
    struct ingest_job job; /* first: the writer gives it back */
    struct http_request *request;
    struct emission emission;
    unsigned char verdict;
};

/* ---- the answer, on the writer's thread */

static void reply_id(const struct single *single) {
    struct buffer body = {0};
    char id[ID_TEXT_SIZE];
    id_format(&single->emission.id, id);
    buffer_char(&body, '"');
    buffer_text(&body, id);
    buffer_char(&body, '"');
    http_reply_buffer(single->request, 201, HTTP_JSON, &body);
}

static void reply_fault(const struct single *single) {
    struct faults faults = {0};
    emission_fault((enum ingest_verdict)single->verdict, &faults);
    faults_reply(&faults, single->request);
}

static void reply_verdict(const struct single *single) {
    switch ((enum ingest_verdict)single->verdict) {
    case INGEST_STORED:
    case INGEST_DUPLICATE: reply_id(single); break;
    case INGEST_NO_RUN: refusal_reply(REFUSAL_NO_RUN, single->request); break;
    case INGEST_FORBIDDEN: refusal_reply(REFUSAL_FORBIDDEN, single->request); break;
    case INGEST_REFUSED:
    case INGEST_LATE: reply_fault(single); break;
    }
}

static void answer(struct ingest_job *job) {
    struct single *single = (struct single *)job;
    if (job->outcome == INGEST_DONE)
        reply_verdict(single);
    else
        refusal_reply(emission_refusal(job->outcome), single->request);
    http_request_answer(single->request);
    free(single);
}

/* ---- the way in */

static struct single *single_new(struct http_request *request) {
    struct single *single = calloc(1, sizeof *single);
    if (!single)
        return NULL;
    single->request = request;
    single->job.emissions = &single->emission;
    single->job.verdicts = &single->verdict;
    single->job.count = 1;
    single->job.arrived = http_request_arrival(request);
    single->job.done = answer;
    return single;
}

/* The writer may answer before this returns: neither the request nor the job is ours afterwards. */
static void submit(struct api *api, struct single *single) {
    http_request_defer(single->request);
    if (ingest_submit(api->ingest, &single->job))
        return;
    refusal_reply(REFUSAL_OVERLOADED, single->request);
    http_request_answer(single->request);
    free(single);
}

bool emissions_try(struct http_request *request, void *worker) {
    struct api *api = ((struct api_worker *)worker)->api;
    size_t size;
    const char *text = http_request_body(request, &size);
    struct single *single = single_new(request);
    bool has_id;
    if (single && emission_sender_at_once(api, request, &single->job) &&
        emission_read(&api->emission_reader, text, size, &single->emission, &has_id)) {
        single->job.fresh = !has_id;
        submit(api, single);
        return true;
    }
    free(single);
    return false;
}

void emissions_create(struct call *call) {
    struct single *single = single_new(call->request);
    if (!single) {
        refusal_reply(REFUSAL_FAILED, call->request);
        return;
    }
    emission_sender_of_call(call, &single->job);
    emission_of_arguments(&call->arguments, &single->emission);
    submit(call->api, single);
}
