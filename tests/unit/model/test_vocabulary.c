#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/model/vocabulary.h"

#include <string.h>

static void test_counts(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int code;
        uint64_t rows;
    } cases[] = {
        {"{\"model\":{\"vocab\":{\"a\":0,\"b\":7}}}", 0, 8},
        {"{\"model\":{\"vocab\":{\"a\":0,\"b\":7}},\"added_tokens\":[{\"id\":3},{\"id\":12,\"content\":\"x\"}"
         "]}",
         0, 13},
        {"{\"model\":{\"vocab\":{}},\"added_tokens\":[]}", 0, 0},
        {"{\"model\":{\"vocab\":[[\"a\",-1.5],[\"b\",-2]]}}", 0, 2}, /* Unigram */
        {"{\"model\":{\"vocab\":{\"\\u0120a\":5}}}", 0, 6},
        {"", ERR_FORMAT, 0},
        {"{}", ERR_UNSUPPORTED, 0},
        {"{\"model\":{\"vocab\":{\"a\":-1}}}", ERR_FORMAT, 0},
        {"{\"model\":{\"vocab\":{\"a\":\"1\"}}}", ERR_FORMAT, 0},
        {"{\"model\":{\"vocab\":{\"a\":4000000}}}", ERR_LIMIT, 0},
        {"{\"model\":{\"vocab\":{\"a\":1}},\"added_tokens\":[1]}", ERR_FORMAT, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t rows = 0;
        struct err err = ERR_INIT;
        int code = model_vocabulary_count_rows(cases[i].json, strlen(cases[i].json), &rows, &err);
        if (code != cases[i].code || rows != cases[i].rows)
            fail_msg("%s: code %d, \"%s\"", cases[i].json, code, err.message);
    }
}

static void test_pieces(void **state)
{
    (void)state;
    uint64_t rows = 0;
    struct err err = ERR_INIT;
    assert_int_equal(model_vocabulary_count_pieces("\x0A\x01x\x12\x00\x0A\x00\x08\x07", 9, &rows, &err), 0);
    assert_int_equal(rows, 2);
    assert_int_equal(model_vocabulary_count_pieces("\x12\x00", 2, &rows, &err), ERR_FORMAT);
    assert_string_equal(err.message, "tokenizer.model: it has no pieces");
    assert_int_equal(model_vocabulary_count_pieces("IQ== 0\n", 7, &rows, &err), ERR_FORMAT);
    assert_int_equal(model_vocabulary_count_pieces("", 0, &rows, &err), ERR_FORMAT);
    assert_int_equal(rows, 2);
}

static void test_known_models(void **state)
{
    (void)state;
    uint64_t rows = 0;
    struct err err = ERR_INIT;
    assert_int_equal(model_vocabulary_rows_of("EleutherAI/pythia-1.4b-deduped", &rows, &err), 0);
    assert_int_equal(rows, 50277);
    assert_int_equal(model_vocabulary_rows_of("garden/neox-tiny", &rows, &err), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_known_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
