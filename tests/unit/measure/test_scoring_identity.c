/* What a result depends on beside its weights: every number that changes a forward pass. */
#include "daemon/measure/scoring_identity.h"

#include "daemon/measure/scoring_weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void write_digest(const struct score_config *config, char *hex)
{
    struct err err = ERR_INIT;
    const struct scoring_weights weights = {.config = config};
    assert_int_equal(scoring_identity_digest_weights(&weights, NULL, hex, &err), 0);
}

static void test_every_number_counts(void **state)
{
    (void)state;
    const struct score_config plain = {
        .architecture = "olmo", .hidden_size = 64, .head_count = 4, .layer_count = 2, .rotary_base = 10000};
    struct score_config others[] = {plain, plain, plain, plain, plain, plain, plain, plain, plain};
    enum { COUNT = sizeof others / sizeof others[0] };
    char digests[COUNT][DIGEST_SHA256_HEX_SIZE];
    others[1].qkv_limit = 8;
    others[2].qkv_limit = 4;
    others[3].has_attention_scale_by_layer = 1;
    others[4].rotary_base = 500000;
    score_layer_leave_unrotated(&others[5], 3);
    others[6].rotary_scaling = (struct score_rotary_scaling){SCORE_ROTARY_YARN, 8, 1, 32, 64, 1.2};
    others[7] = others[8] = others[6];
    others[7].rotary_scaling.attention_factor = 1.1;
    others[8].unscaled_layers[0] = 1;
    for (size_t i = 0; i < COUNT; i++) {
        write_digest(&others[i], digests[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(digests[i], digests[j]);
    }
}

static void test_windows_count(void **state)
{
    (void)state;
    const struct score_config plain = {.architecture = "mistral",
                                       .hidden_size = 64,
                                       .head_count = 4,
                                       .layer_count = 2,
                                       .max_positions = 128,
                                       .rotary_base = 10000};
    struct score_config others[] = {plain, plain, plain, plain, plain};
    char digests[5][DIGEST_SHA256_HEX_SIZE];
    others[1].sliding_layers[0] = others[2].sliding_layers[0] = others[4].sliding_layers[0] = 1 << 0 | 1 << 1;
    others[3].sliding_layers[0] = 1 << 1;
    others[1].window_tokens = others[3].window_tokens = 4;
    others[2].window_tokens = 5;
    others[4].window_tokens = 128; /* which no text goes beyond */
    for (size_t i = 0; i < 5; i++)
        write_digest(&others[i], digests[i]);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(digests[i], digests[j]);
    assert_string_equal(digests[4], digests[0]);
}

static void test_heads_and_multipliers_count(void **state)
{
    (void)state;
    const struct score_config bert = {
        .architecture = "modernbert-decoder", .hidden_size = 64, .head_count = 4, .layer_count = 2};
    const struct score_config granite = {
        .architecture = "granite", .hidden_size = 64, .head_count = 4, .layer_count = 2};
    struct score_config all[] = {bert, bert, bert, bert, bert, granite, granite, granite, granite, granite};
    enum { COUNT = sizeof all / sizeof all[0] };
    char digests[COUNT][DIGEST_SHA256_HEX_SIZE];
    all[1].head_activation = SCORE_ACTIVATION_SILU;
    all[2].has_head_bias = 1;
    all[3].has_unembedding_bias = 1;
    all[4].unscaled_rotary_base = 500;
    all[6].multipliers.embedding = 2;
    all[7].multipliers.attention = 2;
    all[8].multipliers.residual = 2;
    all[9].multipliers.logits = 2;
    for (size_t i = 0; i < COUNT; i++) {
        write_digest(&all[i], digests[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(digests[i], digests[j]);
    }
}

/* What a result is kept under in the database: the text of each must never change, since no result would be
 * found again, and whatever changes the texts that are scored has to be in it. */
static void test_parameters(void **state)
{
    static const struct {
        const char *parameters;
        enum passages_mode mode;
        const char *data, *field;
        uint64_t limit, context;
        uint32_t window, stride;
        int64_t prefix_id;
        int is_started;
    } cases[] = {
        {"{}", PASSAGES_MODE_LAST_WORD, "x.jsonl", NULL, 0, 2048, 0, 0, 0, 0},
        {"{}", PASSAGES_MODE_TEXT_MEAN, "x.jsonl.gz", "text", 0, 2048, 0, 0, 0, 0},
        {"{\"context\":128}", PASSAGES_MODE_LAST_WORD, "x.jsonl", NULL, 0, 128, 0, 0, 0, 0},
        {"{\"field\":\"a\\u0022b\"}", PASSAGES_MODE_LAST_WORD, "x.jsonl", "a\"b", 0, 2048, 0, 0, 0, 0},
        {"{\"kind\":\"text\"}", PASSAGES_MODE_LAST_WORD, "x.txt", NULL, 0, 2048, 0, 0, 0, 0},
        {"{\"limit\":500}", PASSAGES_MODE_LAST_WORD, "x.jsonl", NULL, 500, 2048, 0, 0, 0, 0},
        {"{\"prefix\":null}", PASSAGES_MODE_LAST_WORD, "x.jsonl", NULL, 0, 2048, 0, 0, -1, 0},
        {"{\"prefix\":2,\"start\":true}", PASSAGES_MODE_LAST_WORD, "x.jsonl", NULL, 0, 2048, 0, 0, 2, 1},
        {"{\"context\":64,\"field\":\"passage\",\"limit\":9,\"prefix\":1}", PASSAGES_MODE_TEXT_MEAN,
         "x.jsonl", "passage", 9, 64, 0, 0, 1, 0},
        {"{\"stride\":1024,\"window\":2048}", PASSAGES_MODE_TOKENS, "x.jsonl", NULL, 0, 2048, 0, 0, -1, 0},
        {"{\"stride\":5,\"window\":10}", PASSAGES_MODE_TOKENS, "x.jsonl", NULL, 0, 64, 10, 0, 7, 0},
        {"{\"kind\":\"text\",\"limit\":3,\"stride\":9,\"window\":64}", PASSAGES_MODE_TOKENS, "x.txt", NULL, 3,
         64, 0, 9, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[16], text[SCORING_PARAMETERS_BYTES];
        (void)snprintf(name, sizeof name, "%s", cases[i].data);
        struct source data = {.name = name};
        const struct scoring_request request = {.data = &data,
                                                .dataset = {.field = cases[i].field, .limit = cases[i].limit},
                                                .mode = cases[i].mode,
                                                .window_tokens = cases[i].window,
                                                .stride_tokens = cases[i].stride};
        const struct score_config config = {.max_positions = cases[i].context};
        const struct tokenizer_use use = {.prefix_id = cases[i].prefix_id,
                                          .start_id = cases[i].is_started ? cases[i].prefix_id : -1};
        struct err err = ERR_INIT;
        assert_int_equal(scoring_identity_write_parameters(&request, &config, &use, text, sizeof text, &err),
                         0);
        assert_string_equal(text, cases[i].parameters);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_number_counts), cmocka_unit_test(test_windows_count),
        cmocka_unit_test(test_heads_and_multipliers_count), cmocka_unit_test(test_parameters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
