#include "api/faults.h"

#include "base/json.h"

void faults_add(struct faults *faults, const char *place, const char *name, const char *type,
                const char *message) {
    if (!faults->list)
        faults->list = json_array();
    json_t *fault = name ? json_pack("{s:[s,s],s:s,s:s}", "loc", place, name, "msg", message, "type", type)
                         : json_pack("{s:[s],s:s,s:s}", "loc", place, "msg", message, "type", type);
    if (!fault || json_array_append_new(faults->list, fault) != 0)
        faults->failed = true;
}

bool faults_any(const struct faults *faults) {
    return faults->list || faults->failed;
}

void faults_reply(struct faults *faults, struct http_request *request) {
    json_t *body = faults->failed ? NULL : json_pack("{s:O}", "detail", faults->list);
    http_reply_json(request, 422, json_text(body));
    json_decref(faults->list);
    *faults = (struct faults){0};
}
