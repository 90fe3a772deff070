/* Bodies against the tables of their members: what has no fault is as the table promises; the same document in other words
 * gets the same verdict and the same arguments. The first byte says which body it is: the rest are its bytes. */
#include "fuzz.h"
#include "table.h"

#include "api/validate.h"
#include "http/exchange.h"

enum { DEEPEST = 32, BODIES = 15 };

struct verdict {
    json_t *document;
    struct arguments arguments;
    struct faults faults;
};

static void validate(struct verdict *verdict, const struct body *body, enum http_body kind, const char *text,
                     size_t size) {
    struct http_request request = {.body_kind = kind,
                                   .body = {.data = (char *)(uintptr_t)text, .size = size}};
    *verdict = (struct verdict){.document = NULL};
    validate_body(&request, body, &verdict->document, &verdict->arguments, &verdict->faults);
    faults_hold(&verdict->faults, "body");
}

static void forget(struct verdict *verdict) {
    json_decref(verdict->document);
    json_decref(verdict->faults.list);
}

static int depth_of(const json_t *value) {
    int deepest = 0;
    size_t i;
    const char *name;
    json_t *inner;
    json_array_foreach(value, i, inner) {
        int depth = depth_of(inner);
        deepest = depth > deepest ? depth : deepest;
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, inner) {
        int depth = depth_of(inner);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + (json_is_array(value) || json_is_object(value));
}

static void check_arguments(const struct body *body, const struct verdict *verdict) {
    if (faults_any(&verdict->faults))
        return;
    table_holds(body->members, &verdict->arguments);
    HOLDS(!body->either[0] || arguments_get(&verdict->arguments, body->either[0]) ||
          arguments_get(&verdict->arguments, body->either[1]));
}

/* Ids that are made for want of one differ. */
static void check_same(const struct body *body, const struct verdict *a, const struct verdict *b) {
    HOLDS(faults_any(&a->faults) ? json_equal(a->faults.list, b->faults.list) : !faults_any(&b->faults));
    for (const struct member *member = body->members; !faults_any(&a->faults) && member->name; member++) {
        const char *one = table_value(member, &a->arguments), *other = table_value(member, &b->arguments);
        HOLDS(member->make || (one ? other && strcmp(one, other) == 0 : !other));
    }
}

static void check_other_words(const struct body *body, const struct verdict *verdict) {
    static const size_t words[] = {JSON_COMPACT, JSON_INDENT(3) | JSON_SORT_KEYS, JSON_ENSURE_ASCII};
    for (size_t i = 0; i < COUNT(words); i++) {
        struct verdict other;
        char *text = json_dumps(verdict->document, words[i] | JSON_ENCODE_ANY);
        HOLDS(text != NULL);
        validate(&other, body, HTTP_BODY_JSON, text, strlen(text));
        check_same(body, verdict, &other);
        forget(&other);
        free(text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct verdict verdict;
    if (size == 0)
        return 0;
    /* Behind the last one comes the one that may be a form. */
    size_t which = data[0] % (BODIES + 1);
    const struct body *body = which < BODIES ? bodies[which] : &body_credentials;
    char *text = fuzz_text(data + 1, size - 1);
    validate(&verdict, body, which < BODIES ? HTTP_BODY_JSON : HTTP_BODY_FORM, text, size - 1);
    check_arguments(body, &verdict);
    if (verdict.document) {
        HOLDS(depth_of(verdict.document) <= DEEPEST);
        check_other_words(body, &verdict);
    }
    forget(&verdict);
    free(text);
    return 0;
}
