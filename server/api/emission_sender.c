#include "api/emission_sender.h"

#include "api/call.h"

#include <assert.h>

bool emission_sender_at_once(const struct api *api, const struct http_request *request,
                             struct ingest_job *job) {
    if (api->auth->none) {
        job->holder.everywhere = true;
        return !http_request_header(request, "Origin"); /* a worker judges browsers */
    }
    job->by_token = caller_token(request, &job->token);
    return job->by_token;
}

void emission_sender_of_call(const struct call *call, struct ingest_job *job) {
    const struct caller *caller = &call->caller;
    struct token_holder *holder = &job->holder;
    if (!call_admits(call->route, caller))
        return;
    holder->everywhere = caller->everywhere;
    holder->has_user = id_parse(caller->user_id, &holder->user);
    holder->has_project = id_parse(caller->project_id, &holder->project);
}

void emission_fault(enum ingest_verdict verdict, struct faults *faults) {
    assert(verdict == INGEST_REFUSED || verdict == INGEST_LATE);
    if (verdict == INGEST_LATE)
        faults_add(faults, "body", "timestamp", "timestamp_too_old",
                   "Emissions of that time have been dropped, and no more of them are taken");
    else
        faults_add(faults, "body", NULL, "value_error", REFUSED_VALUE);
}

enum refusal emission_refusal(enum ingest_outcome outcome) {
    static const enum refusal refusals[] = {
        [INGEST_NOBODY] = REFUSAL_NO_CREDENTIALS,
        [INGEST_AWAY] = REFUSAL_AWAY,
        [INGEST_FAILED] = REFUSAL_FAILED,
    };
    assert(outcome != INGEST_DONE);
    return refusals[outcome];
}
