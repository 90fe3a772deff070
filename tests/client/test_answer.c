#include "unit.h"

#include "answer.h"

static void test_outcomes(void **state) {
    (void)state;
    static const char detail[] = "{\"detail\":\"no\"}";
    static const struct {
        int status;
        const char *body;
        enum outcome outcome;
    } cases[] = {
        {0, "", OUTCOME_LATER},
        {200, "", OUTCOME_DONE},
        {201, "", OUTCOME_DONE},
        {204, "", OUTCOME_STRANGE},
        {302, detail, OUTCOME_STRANGE},
        {400, detail, OUTCOME_REFUSED},
        {400, "<html>", OUTCOME_STRANGE}, /* a proxy says so, and not the server */
        {400, "[1]", OUTCOME_STRANGE},
        {400, "{}", OUTCOME_STRANGE},
        {401, "", OUTCOME_UNAUTHORIZED},
        {403, "", OUTCOME_UNAUTHORIZED},
        {404, detail, OUTCOME_REFUSED},
        {404, "", OUTCOME_STRANGE},
        {405, "", OUTCOME_NO_ROUTE},
        {408, "", OUTCOME_LATER},
        {409, detail, OUTCOME_REFUSED},
        {413, detail, OUTCOME_REFUSED},
        {415, detail, OUTCOME_STRANGE},
        {418, detail, OUTCOME_STRANGE},
        {422, "{\"detail\":[{\"msg\":\"x\"}]}", OUTCOME_REFUSED},
        {425, "", OUTCOME_LATER},
        {429, "", OUTCOME_LATER},
        {500, "", OUTCOME_LATER},
        {503, detail, OUTCOME_LATER},
        {599, "", OUTCOME_LATER},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(answer_outcome(cases[i].status, cases[i].body, strlen(cases[i].body)),
                         cases[i].outcome);
}

static bool parse(const char *body, size_t sent, struct batch_answer *answer) {
    return answer_batch(body, strlen(body), sent, answer);
}

static void test_accounts(void **state) {
    (void)state;
    struct batch_answer answer;
    assert_true(parse("{\"accepted\":3,\"duplicates\":2,\"rejected\":[],\"rejected_count\":0}", 5, &answer));
    assert_int_equal(answer.accepted, 3);
    assert_int_equal(answer.duplicates, 2);
    assert_int_equal(answer.listed, 0);
    answer_batch_free(&answer);

    assert_true(parse("{\"accepted\":1,\"duplicates\":0,\"rejected_count\":2,\"new\":null,\"rejected\":["
                      "{\"index\":4,\"id\":null,\"status\":422,\"detail\":[{\"msg\":\"x\"}]},"
                      "{\"index\":1,\"id\":\"y\",\"status\":404,\"detail\":\"no run\"}]}",
                      5, &answer));
    assert_int_equal(answer.unlisted, 2);
    assert_int_equal(answer.listed, 2);
    assert_int_equal(answer.rejections[0].index, 1);
    assert_int_equal(answer.rejections[0].status, 404);
    assert_string_equal(answer.rejections[0].detail, "\"no run\"");
    assert_int_equal(answer.rejections[1].index, 4);
    assert_string_equal(answer.rejections[1].detail, "[{\"msg\":\"x\"}]");
    answer_batch_free(&answer);
}

/* Whatever is not an exact account is none. */
static void test_what_is_no_account(void **state) {
    (void)state;
#define ENTRY(index, status) "{\"index\":" index ",\"id\":null,\"status\":" status ",\"detail\":\"\"}"
#define ANSWER(accepted, duplicates, more, list)                                                             \
    "{\"accepted\":" accepted ",\"duplicates\":" duplicates ",\"rejected_count\":" more                      \
    ",\"rejected\":[" list "]}"
    static const char *const bodies[] = {
        "",
        "OK",
        "<html></html>",
        "null",
        "[]",
        "{}",
        "{\"accepted\":2}",
        ANSWER("1", "0", "0", ""),
        ANSWER("3", "0", "0", ""),
        ANSWER("2", "1", "0", ""),
        ANSWER("3", "-1", "0", ""),
        ANSWER("2.0", "0", "0", ""),
        ANSWER("\"2\"", "0", "0", ""),
        ANSWER("true", "1", "0", ""),
        ANSWER("18446744073709551618", "0", "0", ""),
        ANSWER("0", "0", "0", ENTRY("0", "404") "," ENTRY("0", "404")),
        ANSWER("1", "0", "0", ENTRY("2", "404")),
        ANSWER("1", "0", "0", ENTRY("-1", "404")),
        ANSWER("1", "0", "0", ENTRY("0", "200")),
        ANSWER("1", "0", "0", ENTRY("0", "9999")),
        ANSWER("1", "0", "0", "7"),
        ANSWER("1", "0", "0", "{\"index\":0,\"status\":404}"),
        ANSWER("0", "0", "0", ENTRY("0", "404") "," ENTRY("1", "404") "," ENTRY("2", "404")),
        "{\"accepted\":2,\"duplicates\":0,\"rejected\":[],\"rejected_count\":0} x",
        "{\"accepted\":2,\"accepted\":2,\"duplicates\":0,\"rejected\":[],\"rejected_count\":0}",
        "{\"accepted\":2,\"duplicates\":0,\"rejected\":{},\"rejected_count\":0}",
        "{\"accepted\":2,\"duplicates\":0,\"rejected\":[],\"rejected_count\":",
    };
    struct batch_answer answer;
    for (size_t i = 0; i < COUNT(bodies); i++)
        if (parse(bodies[i], 2, &answer))
            fail_msg("taken for an account: %s", bodies[i]);
    assert_true(parse(ANSWER("2", "0", "0", ""), 2, &answer));
    assert_false(answer_batch(NULL, 0, 2, &answer));
    assert_false(parse(ANSWER("0", "0", "0", ""), 0, &answer));
}

static void test_created_runs(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", "{}", "[]", "\"x\"", "{\"id\":1}", "{\"id\":\"x\"}", "{\"id\":null}"};
    struct id id;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(answer_run_id(bad[i], strlen(bad[i]), &id));
    static const char good[] = "{\"id\":\"3F0C8F0E-6b57-4c7c-9d0a-6f1d2f6b8a11\",\"os\":null}";
    char text[ID_TEXT_SIZE];
    assert_true(answer_run_id(good, sizeof good - 1, &id));
    id_format(&id, text);
    assert_string_equal(text, "3f0c8f0e-6b57-4c7c-9d0a-6f1d2f6b8a11");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_what_is_no_account),
        cmocka_unit_test(test_created_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
