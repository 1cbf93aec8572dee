#include "tests/unit/base/fixture.h"

#include "daemon/base/buf.h"
#include "daemon/sweep/sweep_spec.h"

static void parse(const char *json, struct sweep_spec *spec)
{
    OK(sweep_spec_parse(json, strlen(json), spec, &err));
}

static void test_empty_request(void **state)
{
    (void)state;
    struct sweep_spec spec;
    parse("{}", &spec);
    assert_true(spec.wants_statistics);
    assert_false(spec.wants_perplexity);
    assert_int_equal(spec.tensor_count, 0);
    assert_int_equal(spec.name_count, 0);
    assert_int_equal(spec.step_min, 0);
    assert_true(spec.step_max == INT64_MAX);
    assert_int_equal(spec.every, 1);
    assert_null(spec.reference);
    assert_null(spec.rule);
    assert_null(spec.dataset);
    assert_null(spec.field);
    assert_null(spec.mode);
    assert_null(spec.tokenizer);
    assert_int_equal(spec.limit, 0);
    sweep_spec_free(&spec);
    sweep_spec_free(&spec);
    sweep_spec_free(NULL);
}

static void test_whole_request(void **state)
{
    (void)state;
    struct sweep_spec spec;
    parse("{\"model\":\"a/"
          "b\",\"metrics\":[\"statistics\",\"perplexity\"],\"tensors\":[\"lm_head.weight\",\"*.bias\"],"
          "\"revisions\":{\"from\":1,\"to\":2000,\"every\":3,\"names\":[\"step1\",\"main\"],\"rule\":\"s{"
          "step}\"},"
          "\"reference\":\"step512\",\"dataset\":\"file:/"
          "x.jsonl\",\"field\":\"passage\",\"mode\":\"tokens\",\"limit\":10,\"window\":64,"
          "\"stride\":32,\"tokenizer\":\"file\",\"unknown\":{}}",
          &spec);
    assert_true(spec.wants_statistics);
    assert_true(spec.wants_perplexity);
    assert_int_equal(spec.tensor_count, 2);
    assert_string_equal(spec.tensors[0], "lm_head.weight");
    assert_string_equal(spec.tensors[1], "*.bias");
    assert_int_equal(spec.step_min, 1);
    assert_int_equal(spec.step_max, 2000);
    assert_int_equal(spec.every, 3);
    assert_int_equal(spec.name_count, 2);
    assert_string_equal(spec.names[1], "main");
    assert_string_equal(spec.rule, "s{step}");
    assert_string_equal(spec.reference, "step512");
    assert_string_equal(spec.dataset, "file:/x.jsonl");
    assert_string_equal(spec.field, "passage");
    assert_string_equal(spec.mode, "tokens");
    assert_string_equal(spec.tokenizer, "file");
    assert_int_equal(spec.limit, 10);
    assert_int_equal(spec.window, 64);
    assert_int_equal(spec.stride, 32);
    sweep_spec_free(&spec);
}

static void test_metrics(void **state)
{
    (void)state;
    struct sweep_spec spec;
    parse("{\"metrics\":[]}", &spec);
    assert_true(spec.wants_statistics);
    sweep_spec_free(&spec);
    parse("{\"metrics\":[\"perplexity\"]}", &spec);
    assert_false(spec.wants_statistics);
    assert_true(spec.wants_perplexity);
    sweep_spec_free(&spec);
}

static void test_bad_requests(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *json, *words;
    } cases[] = {
        {ERR_FORMAT, "", "not a JSON object"},
        {ERR_FORMAT, "[]", "not a JSON object"},
        {ERR_FORMAT, "null", "not a JSON object"},
        {ERR_FORMAT, "{", "not a JSON object"},
        {ERR_FORMAT, "{\"a\":1,\"a\":2}", "not a JSON object"},
        {ERR_FORMAT, "{\"model\":\"\xff\"}", "not a JSON object"},
        {ERR_INVALID, "{\"metrics\":[\"loss\"]}", "\"loss\" is neither statistics nor perplexity"},
        {ERR_INVALID, "{\"metrics\":[7]}", "metrics"},
        {ERR_INVALID, "{\"tensors\":[\"a\",7]}", "something else"},
        {ERR_INVALID, "{\"revisions\":{\"names\":[\"a\",null]}}", "something else"},
        {ERR_INVALID, "{\"revisions\":{\"every\":0}}", "revisions.every"},
        {ERR_INVALID, "{\"revisions\":{\"every\":-3}}", "revisions.every"},
        {ERR_INVALID, "{\"revisions\":{\"rule\":\"step\"}}", "step"},
        {ERR_INVALID, "{\"revisions\":{\"rule\":\"{step}{step}\"}}", "step"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sweep_spec spec;
        FAILS(cases[i].code, cases[i].words,
              sweep_spec_parse(cases[i].json, strlen(cases[i].json), &spec, &err));
        sweep_spec_free(&spec);
    }
}

static int selects(const char *json, const char *name)
{
    struct sweep_spec spec;
    struct model_revision place;
    parse(json, &spec);
    model_revision_parse("a/b", name, spec.rule, &place);
    int is_selected = sweep_spec_selects(&spec, name, &place);
    sweep_spec_free(&spec);
    return is_selected;
}

static void test_selection(void **state)
{
    (void)state;
    static const struct {
        const char *json, *name;
        int is_selected;
    } cases[] = {
        {"{}", "step0", 1},
        {"{}", "step143000", 1},
        {"{}", "main", 0}, /* no step */
        {"{}", "240b_tokens", 1},
        {"{\"revisions\":{\"from\":10,\"to\":20}}", "step9", 0},
        {"{\"revisions\":{\"from\":10,\"to\":20}}", "step10", 1},
        {"{\"revisions\":{\"from\":10,\"to\":20}}", "step20", 1},
        {"{\"revisions\":{\"from\":10,\"to\":20}}", "step21", 0},
        {"{\"revisions\":{\"from\":10,\"to\":20}}", "240b_tokens", 0}, /* a token is a step */
        {"{\"revisions\":{\"from\":100000000000}}", "240b_tokens", 1},
        {"{\"revisions\":{\"names\":[\"main\"]}}", "main", 1},
        {"{\"revisions\":{\"names\":[\"main\"]}}", "step0", 0},
        {"{\"revisions\":{\"names\":[\"main\"]}}", "mai", 0},
        {"{\"revisions\":{\"names\":[\"main\"]}}", "main2", 0},
        {"{\"revisions\":{\"names\":[\"a\",\"step7\"],\"from\":10}}", "step7", 1},
        {"{\"revisions\":{\"rule\":\"run-{step}\"}}", "run-7", 1},
        {"{\"revisions\":{\"rule\":\"run-{step}\"}}", "step7", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (selects(cases[i].json, cases[i].name) != cases[i].is_selected)
            fail_msg("%s of %s", cases[i].name, cases[i].json);
    }
}

/* Three times each of 100,000 revisions among as many names: looking at all of them would take ten minutes.
 */
static void test_selection_among_many_names(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    const struct model_revision place = {.is_step = 1};
    struct sweep_spec spec;
    struct buf json;
    buf_init(&json, 4 << 20);
    (void)buf_append_text(&json, "{\"revisions\":{\"names\":[\"step0\"");
    for (int i = COUNT - 1; i > 0; i--)
        (void)buf_appendf(&json, ",\"step%d\"", i);
    (void)buf_append_text(&json, "]}}");
    parse(buf_text(&json), &spec);
    buf_free(&json);
    assert_int_equal(spec.name_count, COUNT);
    assert_string_equal(spec.names[1], "step99999"); /* as they were given */
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < COUNT; i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "step%d", i);
            assert_true(sweep_spec_selects(&spec, name, &place));
            (void)snprintf(name, sizeof name, "step%da", i);
            assert_false(sweep_spec_selects(&spec, name, &place));
        }
    }
    sweep_spec_free(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_request), cmocka_unit_test(test_whole_request),
        cmocka_unit_test(test_metrics),       cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_selection),     cmocka_unit_test(test_selection_among_many_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
