/* The query against the tables of its parameters: what has no fault is as the table promises, and says the same when its
 * arguments are sent once more. */
#include "fuzz.h"
#include "table.h"

#include "api/validate.h"
#include "http/exchange.h"

static const struct member *const sets[] = {query_range, query_page, query_organization};

static bool validate(const char *target, const struct member *members, struct arguments *arguments) {
    struct http_request request = {0};
    struct faults faults = {0};
    bool well = http_url_parse(&request.url, target) == HTTP_URL_OK;
    *arguments = (struct arguments){.count = 0};
    if (well) {
        validate_query(&request, members, arguments, &faults);
        faults_hold(&faults, "query");
        well = !faults_any(&faults);
    }
    json_decref(faults.list);
    http_url_free(&request.url);
    return well;
}

static void append_parameter(struct buffer *target, const char *name, const char *value) {
    buffer_char(target, '&');
    buffer_text(target, name);
    buffer_char(target, '=');
    for (; *value; value++)
        buffer_text(target, *value == '+' ? "%2B" : (char[2]){*value});
}

static void append_cursor(struct buffer *target, const struct arguments *arguments) {
    const char *timestamp = arguments_get(arguments, "cursor_timestamp");
    const char *id = arguments_get(arguments, "cursor_id");
    char cursor[2 * ARGUMENT_TEXT];
    if (!timestamp)
        return;
    HOLDS(holds_timestamp(timestamp) && holds_id(id));
    snprintf(cursor, sizeof cursor, "%s_%s", timestamp, id);
    append_parameter(target, "cursor", cursor);
}

static void check_again(const struct member *members, const struct arguments *arguments) {
    struct buffer target = {0};
    struct arguments again;
    buffer_text(&target, "/?");
    for (const struct member *member = members; member->name; member++) {
        const char *value = table_value(member, arguments);
        if (member->type != MEMBER_CURSOR && value)
            append_parameter(&target, member->name, value);
    }
    append_cursor(&target, arguments);
    HOLDS(validate(target.data, members, &again) && again.count == arguments->count);
    for (size_t i = 0; i < again.count; i++) {
        const char *a = arguments->items[i].value, *b = again.items[i].value;
        HOLDS(a ? b && strcmp(a, b) == 0 : !b);
    }
    buffer_free(&target);
}

static void check(const char *target, const struct member *members) {
    struct arguments arguments;
    if (!validate(target, members, &arguments))
        return;
    if (members != query_page)
        table_holds(members, &arguments);
    const char *start = arguments_get(&arguments, "start_date"), *end = arguments_get(&arguments, "end_date");
    HOLDS(!start || !end || strcmp(start, end) <= 0);
    check_again(members, &arguments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buffer target = {0};
    buffer_text(&target, "/?");
    buffer_append(&target, data, size);
    for (size_t i = 0; i < COUNT(sets); i++)
        check(target.data, sets[i]);
    buffer_free(&target);
    return 0;
}
