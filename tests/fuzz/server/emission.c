/* The quick reader of emissions against jansson and the table of members: what it accepts they accept, with the very same
 * values; and what they accept it accepts as well, once it is written plainly. */
#include "fuzz.h"
#include "table.h"

#include "api/emission_reader.h"
#include "api/validate.h"

static bool read_by_table(const struct body *body, const char *text, size_t size, json_t **document,
                          struct emission *emission) {
    struct arguments arguments = {.count = 0};
    struct faults faults = {0};
    validate_json(text, size, body, document, &arguments, &faults);
    bool well = !faults_any(&faults);
    if (well)
        emission_of_arguments(&arguments, emission);
    json_decref(faults.list);
    return well;
}

static void check_same(const struct emission *a, const struct emission *b, bool has_id) {
    HOLDS(memcmp(&a->run, &b->run, sizeof a->run) == 0 && a->timestamp == b->timestamp);
    HOLDS(!has_id || memcmp(&a->id, &b->id, sizeof a->id) == 0);
    for (int i = 0; i < EMISSION_NUMBERS; i++)
        HOLDS(isnan(a->numbers[i]) ? isnan(b->numbers[i]) : a->numbers[i] == b->numbers[i]);
}

/* The quick reader leaves text beyond ASCII, escapes, minus zero, and what is longer than an id or a time need be to
 * jansson: none of it is in what trackers write. */
static bool is_plain(const json_t *value) {
    const char *text = json_string_value(value);
    if (text && strlen(text) >= 48)
        return false;
    for (; text && *text; text++)
        if (*text < 0x20 || *text == '"' || *text == '\\')
            return false;
    return !json_is_number(value) || !signbit(json_number_value(value));
}

/* The members of the table alone, in its order. NULL where they are not plain. */
static char *write_plainly(const struct body *body, const json_t *document) {
    json_t *plain = json_object();
    bool well = plain != NULL;
    for (const struct member *member = body->members; well && member->name; member++) {
        json_t *value = json_object_get(document, member->name);
        well = !value || (is_plain(value) && json_object_set(plain, member->name, value) == 0);
    }
    char *text = well ? json_dumps(plain, 0) : NULL;
    json_decref(plain);
    return text;
}

static void check_plain(const struct emission_reader *reader, const struct body *body, const json_t *document,
                        const struct emission *expected) {
    struct emission emission;
    bool has_id;
    char *text = write_plainly(body, document);
    if (text) {
        HOLDS(emission_read(reader, text, strlen(text), &emission, &has_id));
        check_same(&emission, expected, has_id);
    }
    free(text);
}

static void compare(const struct body *body, const char *text, size_t size) {
    struct emission_reader reader;
    struct emission quick, slow;
    json_t *document = NULL;
    bool has_id;
    emission_reader_init(&reader, body);
    bool read_quickly = emission_read(&reader, text, size, &quick, &has_id);
    bool read_slowly = read_by_table(body, text, size, &document, &slow);
    HOLDS(read_quickly <= read_slowly);
    if (read_quickly)
        check_same(&quick, &slow, has_id);
    if (read_slowly)
        check_plain(&reader, body, document, &slow);
    json_decref(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    compare(&body_emission, text, size);
    compare(&body_batch_emission, text, size);
    free(text);
    return 0;
}
