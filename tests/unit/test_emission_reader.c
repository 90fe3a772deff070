/* The quick reader against jansson and the table of members: what it accepts they accept, with the same values. */
#include "unit.h"

#include "api/emission_reader.h"
#include "api/validate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct emission_reader single, batch;

static const char usual[] =
    "{\"timestamp\": \"2026-11-23T17:40:00.123456+00:00\", \"run_id\": "
    "\"3f0c8f0e-6b57-4c7c-9d0a-6f1d2f6b8a11\", "
    "\"duration\": 15, \"emissions_sum\": 1.9181295845832085e-06, \"emissions_rate\": 9.572650655239563e-07, "
    "\"cpu_power\": 23.440629005749997, \"gpu_power\": 0.0, \"ram_power\": 20.0, "
    "\"cpu_energy\": 2.3100183360436425e-05, \"gpu_energy\": 0, \"ram_energy\": 1.1128292961111207e-05, "
    "\"energy_consumed\": 3.422847632154764e-05, \"cpu_utilization_percent\": 7.459999999999999, "
    "\"gpu_utilization_percent\": null, \"ram_utilization_percent\": 3.4, \"wue\": 0.25, "
    "\"id\": \"8d3f4c8e-7a57-4f0e-8d9b-1f2c3b4a5d6e\"}";

/* What the library and the table say. */
static bool read_by_table(const struct body *body, const char *text, size_t size, struct emission *emission) {
    struct arguments arguments = {.count = 0};
    struct faults faults = {0};
    json_t *document = NULL;
    validate_json(text, size, body, &document, &arguments, &faults);
    bool well = !faults_any(&faults);
    if (well)
        emission_of_arguments(&arguments, emission);
    json_decref(faults.list);
    json_decref(document);
    return well;
}

static void assert_same(const struct emission *a, const struct emission *b, const char *text) {
    bool same = memcmp(&a->run, &b->run, sizeof a->run) == 0 && memcmp(&a->id, &b->id, sizeof a->id) == 0 &&
                a->timestamp == b->timestamp;
    for (int i = 0; i < EMISSION_NUMBERS; i++)
        same = same && (isnan(a->numbers[i]) ? isnan(b->numbers[i]) : a->numbers[i] == b->numbers[i]);
    if (!same)
        fail_msg("read differently: %s", text);
}

/* True if the quick reader took it. */
static bool compare(const struct emission_reader *reader, const struct body *body, const char *text,
                    size_t size) {
    struct emission quick, slow;
    bool has_id;
    if (!emission_read(reader, text, size, &quick, &has_id))
        return false;
    if (!read_by_table(body, text, size, &slow))
        fail_msg("taken, but refused by the table: %.*s", (int)size, text);
    assert_same(&quick, &slow, text);
    return true;
}

static void usual_emissions_are_read(void **state) {
    (void)state;
    struct emission emission;
    bool has_id;
    assert_true(compare(&batch, &body_batch_emission, usual, strlen(usual)));
    assert_true(emission_read(&single, usual, strlen(usual), &emission, &has_id));
    assert_true(emission.numbers[EMISSION_SUM] == 1.9181295845832085e-06);
    assert_true(emission.numbers[EMISSION_WUE] == 0.25);
    assert_true(isnan(emission.numbers[EMISSION_GPU_UTILIZATION]));
    assert_int_equal(emission.timestamp, 1795455600123456);
}

/* An edit of the usual emission: one part replaced. */
static char *edited(const char *from, const char *to) {
    const char *place = strstr(usual, from);
    assert_non_null(place);
    char *text = NULL;
    assert_true(asprintf(&text, "%.*s%s%s", (int)(place - usual), usual, to, place + strlen(from)) > 0);
    return text;
}

static void edits_are_judged_alike(void **state) {
    (void)state;
    static const struct {
        const char *from, *to;
        bool quick; /* whether it is among what the quick reader should know */
    } edits[] = {
        {"15,", "15.0,", true},
        {"15,", "1e2,", true},
        {"15,", "1E+2,", true},
        {"15,", "0.0001,", true},
        {"15,", "123456789012345678901234567890,", true},
        {"15,", "1e-300,", true},
        {"15,", "4.9e-324,", true},
        {"15,", "1e290,", true},
        {"15,", "1.1e290,", false},
        {"15,", "1e999,", false},
        {"15,", "1e-9999,", false},
        {"15,", "1e-2147483648,", false},
        {"15,", "1.55e-2147483647,", false},
        {"15,", "0,", false},
        {"15,", "-1,", false},
        {"15,", "015,", false},
        {"15,", "15.,", false},
        {"15,", ".5,", false},
        {"15,", "+15,", false},
        {"15,", "1e,", false},
        {"15,", "0x10,", false},
        {"15,", "NaN,", false},
        {"15,", "Infinity,", false},
        {"15,", "null,", false},
        {"15,", "true,", false},
        {"15,", "\"15\",", false},
        {"15,", "[15],", false},
        {"15,", "15 15,", false},
        {"15,", "15,,", false},
        {"0.25", "null", true},
        {"0.25", "0.25, \"wue\": null", true},
        {"0.25", "0.25, \"duration\": 7", true},
        {"0.25", "0.25, \"duration\": null, \"duration\": 7", false},
        {"0.25", "0.25, \"unknown\": \"text\"", true},
        {"0.25", "0.25, \"unknown\": null, \"more\": false, \"most\": 1.5", true},
        {"0.25", "0.25, \"unknown\": {}", false},
        {"0.25", "0.25, \"unknown\": -1", false},
        {"0.25", "0.25, \"wue\": 1, \"wue\": 2", true},
        {"7.459999999999999", "100", true},
        {"7.459999999999999", "100.00000000000001", false},
        {"\"duration\"", "\"durations\"", false},
        {"\"duration\"", "\"\\u0064uration\"", false},
        {"8d3f4c8e-7a57", "8D3F4C8E-7A57", true},
        {"8d3f4c8e-7a57", "8d3f4c8e7a57", false},
        {"8d3f4c8e-7a57", "8d3f4c8e-7a57 ", false},
        {"2026-11-23T17", "2026-11-23T25", false},
        {"2026-11-23T17:40:00.123456+00:00", "2026-11-23", true},
        {"2026-11-23T17:40:00.123456+00:00", "\xc3\xa9", false},
        {"}", "} ", true},
        {"}", "}}", false},
        {"}", "", false},
        {"}", ",}", false},
        {"{", " \r\n\t{ ", true},
        {"{", "[{", false},
        {", ", ",", true},
        {", ", "  ,\n", true},
        {": ", " : ", true},
        {"\"timestamp\"", "timestamp", false},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        char *text = edited(edits[i].from, edits[i].to);
        if (compare(&batch, &body_batch_emission, text, strlen(text)) != edits[i].quick)
            fail_msg("%s -> %s: %s", edits[i].from, edits[i].to, edits[i].quick ? "not taken" : "taken");
        compare(&single, &body_emission, text, strlen(text));
        free(text);
    }
}

static void missing_id_is_made_or_missed(void **state) {
    (void)state;
    struct emission emission;
    bool has_id;
    char *text = edited(", \"id\": \"8d3f4c8e-7a57-4f0e-8d9b-1f2c3b4a5d6e\"", "");
    assert_false(emission_read(&batch, text, strlen(text), &emission, &has_id));
    assert_true(emission_read(&single, text, strlen(text), &emission, &has_id));
    assert_int_equal(emission.id.bytes[6] >> 4, 7);
    free(text);
}

/* Every prefix of a text is a text of its own, and so is the text with any byte changed. */
static void damaged_texts_are_judged_alike(void **state) {
    (void)state;
    size_t size = strlen(usual);
    char text[sizeof usual];
    memcpy(text, usual, sizeof usual);
    for (size_t end = 0; end < size; end++)
        assert_false(compare(&batch, &body_batch_emission, usual, end));
    static const char bytes[] = "\"\\{}[]:,0.e-+ \n\x01\x7f\xff"
                                "a";
    for (size_t i = 0; i < size; i++) {
        for (size_t b = 0; b < sizeof bytes - 1; b++) {
            text[i] = bytes[b];
            compare(&batch, &body_batch_emission, text, size);
        }
        text[i] = usual[i];
    }
}

/* Numbers as Python writes them, and others. */
static void numbers_are_exact(void **state) {
    (void)state;
    char text[sizeof usual + 64], number[40];
    unsigned seed = 1;
    for (int i = 0; i < 200000; i++) {
        double value = (double)rand_r(&seed) / RAND_MAX * pow(10, rand_r(&seed) % 40 - 30);
        snprintf(number, sizeof number, "%.*g", 1 + rand_r(&seed) % 17, value + 1e-300);
        struct emission emission;
        bool has_id;
        int length = snprintf(text, sizeof text, "%.*s%s%s", (int)(strstr(usual, "15,") - usual), usual,
                              number, strstr(usual, "15,") + 2);
        if (emission_read(&batch, text, (size_t)length, &emission, &has_id))
            assert_true(emission.numbers[EMISSION_DURATION] == strtod(number, NULL));
        else
            assert_true(strchr(number, '.') == NULL || strtod(number, NULL) <= 0);
    }
}

int main(void) {
    emission_reader_init(&single, &body_emission);
    emission_reader_init(&batch, &body_batch_emission);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_emissions_are_read),
        cmocka_unit_test(edits_are_judged_alike),
        cmocka_unit_test(missing_id_is_made_or_missed),
        cmocka_unit_test(damaged_texts_are_judged_alike),
        cmocka_unit_test(numbers_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
