#include "api/validate.h"

#include "base/email.h"
#include "base/json.h"
#include "base/timestamp.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH = 32, MESSAGE_SIZE = 160 };

/* One value on its way: where it came from, and where its faults and its text go. */
struct checking {
    const char *place;
    const struct member *member;
    struct arguments *arguments;
    struct faults *faults;
};

static void fault(const struct checking *checking, const char *type, const char *message) {
    faults_add(checking->faults, checking->place, checking->member->name, type, message);
}

static const char *argument_name(const struct member *member) {
    return member->argument ? member->argument : member->name;
}

static void set_copy(const struct checking *checking, const char *text) {
    arguments_set_copy(checking->arguments, argument_name(checking->member), text);
}

/* ---- values of each type */

static void check_uuid(const struct checking *checking, const char *text) {
    struct id id;
    char normal[ID_TEXT_SIZE];
    if (!text || !id_parse(text, &id)) {
        fault(checking, "uuid_parsing", "Input should be a UUID");
        return;
    }
    id_format(&id, normal);
    set_copy(checking, normal);
}

static void check_timestamp(const struct checking *checking, const char *text) {
    int64_t timestamp;
    char normal[TIMESTAMP_TEXT_SIZE];
    if (!text || !timestamp_parse(text, &timestamp)) {
        fault(checking, "timestamp_parsing", "Input should be a time as in RFC 3339, of the years 1 to 9999");
        return;
    }
    timestamp_format(timestamp, normal);
    set_copy(checking, normal);
}

static bool in_bounds(const struct checking *checking, double value, const char *what) {
    const struct member *member = checking->member;
    char message[MESSAGE_SIZE];
    if ((member->bounds & MEMBER_ABOVE) && !(value > member->minimum)) {
        snprintf(message, sizeof message, "%s should be greater than %.15g", what, member->minimum);
        fault(checking, "greater_than", message);
        return false;
    }
    if ((member->bounds & MEMBER_AT_LEAST) && !(value >= member->minimum)) {
        snprintf(message, sizeof message, "%s should be at least %.15g", what, member->minimum);
        fault(checking, "greater_than_equal", message);
        return false;
    }
    if ((member->bounds & MEMBER_AT_MOST) && !(value <= member->maximum)) {
        snprintf(message, sizeof message, "%s should be at most %.15g", what, member->maximum);
        fault(checking, "less_than_equal", message);
        return false;
    }
    return true;
}

static void check_number(const struct checking *checking, double value) {
    char text[ARGUMENT_TEXT];
    if (!in_bounds(checking, value, "Input"))
        return;
    snprintf(text, sizeof text, "%.17g", value);
    set_copy(checking, text);
}

static void check_integer(const struct checking *checking, double value) {
    char text[ARGUMENT_TEXT];
    if (value != floor(value)) {
        fault(checking, "integer_type", "Input should be an integer");
        return;
    }
    if (!in_bounds(checking, value, "Input"))
        return;
    snprintf(text, sizeof text, "%.0f", value);
    set_copy(checking, text);
}

static size_t count_characters(const char *text) {
    size_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

static bool check_length(const struct checking *checking, const char *text) {
    const struct member *member = checking->member;
    double length = (double)count_characters(text);
    char message[MESSAGE_SIZE];
    if ((member->bounds & MEMBER_AT_LEAST) && length < member->minimum) {
        snprintf(message, sizeof message, "Input should have at least %.0f characters", member->minimum);
        fault(checking, "string_too_short", message);
        return false;
    }
    if ((member->bounds & MEMBER_AT_MOST) && length > member->maximum) {
        snprintf(message, sizeof message, "Input should have at most %.0f characters", member->maximum);
        fault(checking, "string_too_long", message);
        return false;
    }
    return true;
}

static void check_text(const struct checking *checking, const char *text) {
    if (!check_length(checking, text))
        return;
    if (checking->member->type == MEMBER_EMAIL && !email_is_plausible(text)) {
        fault(checking, "email", "Input should be an e-mail address");
        return;
    }
    arguments_set(checking->arguments, argument_name(checking->member), text);
}

/* ---- what is absent or null */

static void check_absent(const struct checking *checking, bool is_null) {
    const struct member *member = checking->member;
    char made[ID_TEXT_SIZE];
    if (member->required && !is_null) {
        fault(checking, "missing", "Field required");
    } else if (member->required && !member->nullable) {
        fault(checking, "not_null", "Input should not be null");
    } else if (member->make) {
        struct id id = member->make();
        id_format(&id, made);
        set_copy(checking, made);
    } else {
        arguments_set(checking->arguments, argument_name(member), member->fallback);
    }
}

/* ---- path and query */

/* As server/sql/run_emissions.sql writes it: a timestamp, an underscore, an id. */
static void check_cursor(const struct checking *checking, const char *text) {
    const char *separator = strchr(text, '_');
    char before[TIMESTAMP_TEXT_SIZE] = "", timestamp_text[TIMESTAMP_TEXT_SIZE], id_text[ID_TEXT_SIZE];
    int64_t timestamp;
    struct id id;
    if (separator && (size_t)(separator - text) < sizeof before)
        memcpy(before, text, (size_t)(separator - text));
    if (!timestamp_parse(before, &timestamp) || !id_parse(separator + 1, &id)) {
        fault(checking, "cursor_parsing", "Input should be the cursor of another page");
        return;
    }
    timestamp_format(timestamp, timestamp_text);
    id_format(&id, id_text);
    arguments_set_copy(checking->arguments, "cursor_timestamp", timestamp_text);
    arguments_set_copy(checking->arguments, "cursor_id", id_text);
}

void validate_path(const struct http_request *request, struct arguments *arguments, struct faults *faults) {
    const struct http_match *match = http_request_match(request);
    for (size_t i = 0; i < match->capture_count; i++) {
        const struct member member = {.name = match->captures[i].name, .type = MEMBER_UUID};
        check_uuid(&(struct checking){"path", &member, arguments, faults}, match->captures[i].value);
    }
}

/* Clients forget to escape the plus of "+01:00", which then arrives as a space. */
static void restore_plus(const char *text, char *out, size_t room) {
    snprintf(out, room, "%s", text);
    size_t length = strlen(out);
    if (length > 16 && out[length - 6] == ' ')
        out[length - 6] = '+';
}

static void check_query_integer(const struct checking *checking, const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (!*text || text[strspn(text, "+-0123456789")] || *end) {
        fault(checking, "integer_type", "Input should be an integer");
        return;
    }
    check_integer(checking, value);
}

static void check_query_value(const struct checking *checking, const char *text) {
    char restored[64];
    switch (checking->member->type) {
    case MEMBER_UUID: check_uuid(checking, text); break;
    case MEMBER_INTEGER: check_query_integer(checking, text); break;
    case MEMBER_CURSOR: check_cursor(checking, text); break;
    case MEMBER_TIMESTAMP:
        restore_plus(text, restored, sizeof restored);
        check_timestamp(checking, strlen(text) < sizeof restored ? restored : NULL);
        break;
    default: check_text(checking, text); break;
    }
}

static void check_order(const struct arguments *arguments, struct faults *faults) {
    const char *start = arguments_get(arguments, "start_date"), *end = arguments_get(arguments, "end_date");
    /* Both were written by timestamp_format: text order is time order. */
    if (start && end && strcmp(start, end) > 0)
        faults_add(faults, "query", "start_date", "range", "start_date should not be after end_date");
}

void validate_query(const struct http_request *request, const struct member *members,
                    struct arguments *arguments, struct faults *faults) {
    for (const struct member *member = members; member && member->name; member++) {
        const struct checking checking = {"query", member, arguments, faults};
        const char *text = http_request_parameter(request, member->name);
        if (text && *text)
            check_query_value(&checking, text);
        else
            check_absent(&checking, false);
    }
    if (members == query_range)
        check_order(arguments, faults);
}

/* ---- body */

static void check_json_text(const struct checking *checking, const json_t *value) {
    if (!json_is_string(value)) {
        fault(checking, "string_type", "Input should be a string");
        return;
    }
    switch (checking->member->type) {
    case MEMBER_UUID: check_uuid(checking, json_string_value(value)); break;
    case MEMBER_TIMESTAMP: check_timestamp(checking, json_string_value(value)); break;
    default: check_text(checking, json_string_value(value)); break;
    }
}

static void check_json_number(const struct checking *checking, const json_t *value) {
    bool integer = checking->member->type == MEMBER_INTEGER;
    if (!json_is_number(value))
        fault(checking, integer ? "integer_type" : "number_type", "Input should be a number");
    else if (integer)
        check_integer(checking, json_number_value(value));
    else
        check_number(checking, json_number_value(value));
}

static void check_json_boolean(const struct checking *checking, const json_t *value) {
    if (!json_is_boolean(value))
        fault(checking, "boolean_type", "Input should be true or false");
    else
        arguments_set(checking->arguments, argument_name(checking->member),
                      json_is_true(value) ? "true" : "false");
}

static void check_json(const struct checking *checking, const json_t *value) {
    switch (checking->member->type) {
    case MEMBER_NUMBER:
    case MEMBER_INTEGER: check_json_number(checking, value); break;
    case MEMBER_BOOLEAN: check_json_boolean(checking, value); break;
    default: check_json_text(checking, value); break;
    }
}

static void check_either(const struct body *body, const struct arguments *arguments, struct faults *faults) {
    if (!body->either[0] || faults_any(faults))
        return;
    char message[MESSAGE_SIZE];
    snprintf(message, sizeof message, "One of %s and %s is required", body->either[0], body->either[1]);
    if (!arguments_get(arguments, body->either[0]) && !arguments_get(arguments, body->either[1]))
        faults_add(faults, "body", body->either[0], "missing", message);
}

/* jansson reads any depth that fits in its stack: measured before, outside of strings. */
static bool too_deep(const char *text, size_t size) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
        if (depth > JSON_DEPTH)
            return true;
    }
    return false;
}

/* A form becomes the object that its JSON would be. */
static json_t *read_form(const char *text, size_t size) {
    struct http_url form;
    json_t *document = NULL;
    if (http_form_parse(&form, text, size) == HTTP_URL_OK)
        document = json_object();
    for (size_t i = 0; document && i < form.parameter_count; i++)
        json_object_set_new(document, form.parameters[i].name, json_string(form.parameters[i].value));
    http_url_free(&form);
    return document;
}

/* What is JSON by its grammar, and can be no value here all the same. */
static const char *impossible_value(const json_error_t *problem) {
    switch (json_error_code(problem)) {
    case json_error_numeric_overflow: return "A number is too large";
    case json_error_null_character:
    case json_error_null_byte_in_key: return "A string holds the character U+0000";
    default: return NULL;
    }
}

/* NULL: there is a fault. `well_formed` tells whether it is JSON at all. */
static json_t *read_json(const char *text, size_t size, struct faults *faults, bool *well_formed) {
    char message[MESSAGE_SIZE];
    json_error_t problem;
    *well_formed = false;
    if (too_deep(text, size)) {
        faults_add(faults, "body", NULL, "json_invalid", "JSON nests deeper than 32 levels");
        return NULL;
    }
    json_lacked_memory();
    json_t *document = json_loadb(text, size, JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &problem);
    if (json_lacked_memory()) {
        json_decref(document);
        faults->failed = true;
        return NULL;
    }
    const char *impossible = document ? NULL : impossible_value(&problem);
    *well_formed = document || impossible;
    if (document)
        return document;
    snprintf(message, sizeof message, "%s at line %d, column %d", impossible ? impossible : "Not valid JSON",
             problem.line, problem.column);
    faults_add(faults, "body", NULL, impossible ? "value_error" : "json_invalid", message);
    return NULL;
}

static void check_document(const struct body *body, const json_t *document, struct arguments *arguments,
                           struct faults *faults) {
    if (!json_is_object(document)) {
        faults_add(faults, "body", NULL, "json_type", "The body should be a JSON object");
        return;
    }
    for (const struct member *member = body->members; member->name; member++) {
        const struct checking checking = {"body", member, arguments, faults};
        const json_t *value = json_object_get(document, member->name);
        if (!value || json_is_null(value))
            check_absent(&checking, value != NULL);
        else
            check_json(&checking, value);
    }
    check_either(body, arguments, faults);
}

bool validate_json(const char *text, size_t size, const struct body *body, json_t **document,
                   struct arguments *arguments, struct faults *faults) {
    bool well_formed;
    *document = read_json(text, size, faults, &well_formed);
    if (*document)
        check_document(body, *document, arguments, faults);
    return well_formed;
}

void validate_body(const struct http_request *request, const struct body *body, json_t **document,
                   struct arguments *arguments, struct faults *faults) {
    size_t size;
    const char *text = http_request_body(request, &size);
    if (http_request_body_kind(request) != HTTP_BODY_FORM) {
        validate_json(text, size, body, document, arguments, faults);
        return;
    }
    *document = read_form(text, size);
    if (*document)
        check_document(body, *document, arguments, faults);
    else
        faults_add(faults, "body", NULL, "form_invalid", "The form is not properly encoded");
}
