#include "api/status.h"

#include "api/call.h"
#include "api/specification.h"
#include "db/migrate.h"
#include "statements.h"

#include <stdlib.h>
#include <string.h>

static void reply_text(struct call *call, const char *json) {
    http_reply_static(call->request, 200, HTTP_JSON, json, strlen(json));
}

void status_root(struct call *call) {
    reply_text(call, "{\"status\": \"OK\"}");
}

void status_alive(struct call *call) {
    reply_text(call, "{\"status\": \"ok\"}");
}

/* A session stays read-only when its database is so no more. It is given up then: the second is a new one. */
static bool can_write(struct db *db) {
    enum { SESSIONS = 2 };
    enum db_outcome outcome = DB_AWAY;
    for (int i = 0; i < SESSIONS && outcome == DB_AWAY; i++) {
        char *nothing;
        outcome = db_query_text(db, &sql_writable, NULL, &nothing);
        free(nothing);
    }
    return outcome == DB_OK;
}

void status_ready(struct call *call) {
    struct schema schema;
    if (atomic_load(&call->api->draining))
        http_reply_error(call->request, 503, "The server is about to end");
    else if (migrate_schema(call->db, &schema) != DB_OK)
        http_reply_error(call->request, 503, "The database is away");
    else if (migrate_is_too_old(&schema))
        http_reply_error(call->request, 503, "The database's schema is too old: run carbond migrate");
    else if (migrate_is_too_new(&schema))
        http_reply_error(call->request, 503, "The database's schema is too new: run a newer carbond");
    else if (!can_write(call->db))
        http_reply_error(call->request, 503, "The database takes no changes: nothing can be stored");
    else
        reply_text(call, "{\"status\": \"ok\"}");
}

void status_specification_json(struct call *call) {
    http_reply_static(call->request, 200, HTTP_JSON, specification_json, specification_json_size);
}

void status_specification_yaml(struct call *call) {
    http_reply_static(call->request, 200, "application/yaml", specification_yaml, specification_yaml_size);
}
