/* How documents are cut into batches and waves, and what a packed batch holds. */
#include "gpu/score_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Five documents; the fourth shares tokens with the third. Inputs up to the last target: 3, 1, 6, 5, 2. */
static const uint32_t tokens[] = {10, 11, 12, 13, 20, 21, 30, 31, 32, 33, 34, 35, 36, 37, 50, 51, 52, 53};
static const uint64_t begin[] = {0, 4, 6, 7, 14};
static const uint32_t length[] = {4, 2, 8, 7, 4};
static const uint32_t target_first[] = {3, 1, 5, 1, 2};
static const uint32_t target_count[] = {1, 1, 2, 5, 1};
static const struct score_request request = {.tokens = tokens,
                                             .token_count = 18,
                                             .document_count = 5,
                                             .begin = begin,
                                             .length = length,
                                             .target_first = target_first,
                                             .target_count = target_count};

static void make(struct score_plan *plan, size_t inputs, size_t wave_targets, size_t wave_inputs)
{
    struct err err = ERR_INIT;
    struct score_plan_options options = {inputs, wave_targets, wave_inputs};
    assert_int_equal(score_plan_init(plan, &request, &options, &err), 0);
}

static void batches(void **state)
{
    (void)state;
    struct score_plan plan;
    make(&plan, 7, SIZE_MAX, SIZE_MAX);
    /* 3 + 1, then 6 (6 + 5 is too much), then 5 + 2 */
    assert_int_equal(plan.batch_count, 3);
    assert_int_equal(plan.batches[0].document_count, 2);
    assert_int_equal(plan.batches[0].input_count, 4);
    assert_int_equal(plan.batches[1].document_first, 2);
    assert_int_equal(plan.batches[1].document_count, 1);
    assert_int_equal(plan.batches[1].target_first, 2);
    assert_int_equal(plan.batches[2].document_count, 2);
    assert_int_equal(plan.batches[2].input_count, 7);
    assert_int_equal(plan.batches[2].target_first, 4);
    assert_int_equal(plan.batches[2].target_count, 6);
    assert_int_equal(plan.input_total, 17);
    assert_int_equal(plan.target_total, 10);
    assert_int_equal(plan.batch_inputs_max, 7);
    assert_int_equal(plan.batch_documents_max, 2);
    assert_int_equal(plan.batch_targets_max, 6);
    assert_int_equal(plan.document_inputs_max, 6);
    assert_int_equal(plan.wave_count, 1);
    assert_int_equal(plan.wave_inputs_max, 17);
    score_plan_free(&plan);
}

static void long_documents_stand_alone(void **state)
{
    (void)state;
    struct score_plan plan;
    make(&plan, 1, SIZE_MAX, SIZE_MAX);
    assert_int_equal(plan.batch_count, 5);
    assert_int_equal(plan.batch_inputs_max, 6);
    score_plan_free(&plan);
}

static void waves(void **state)
{
    (void)state;
    struct score_plan plan;
    make(&plan, 1, 3, SIZE_MAX); /* targets 1, 1 | 2 | 5 | 1 */
    assert_int_equal(plan.wave_count, 4);
    assert_int_equal(plan.waves[0].batch_count, 2);
    assert_int_equal(plan.waves[2].target_first, 4);
    assert_int_equal(plan.waves[2].target_count, 5);
    assert_int_equal(plan.wave_targets_max, 5);
    score_plan_free(&plan);
    make(&plan, 1, SIZE_MAX, 10); /* inputs 3, 1, 6 | 5, 2 */
    assert_int_equal(plan.wave_count, 2);
    assert_int_equal(plan.waves[0].input_count, 10);
    assert_int_equal(plan.waves[1].batch_first, 3);
    assert_int_equal(plan.waves[1].target_first, 4);
    score_plan_free(&plan);
}

static void packing(void **state)
{
    (void)state;
    struct score_plan plan;
    uint32_t ids[7], positions[7], offsets[3], rows[6], targets[6];
    struct score_packed packed = {ids, positions, offsets, rows, targets};
    make(&plan, 7, SIZE_MAX, SIZE_MAX);
    score_plan_pack(&plan, 2, &packed);
    const uint32_t want_ids[] = {31, 32, 33, 34, 35, 50, 51};
    const uint32_t want_positions[] = {0, 1, 2, 3, 4, 0, 1};
    const uint32_t want_offsets[] = {0, 5, 7};
    const uint32_t want_rows[] = {0, 1, 2, 3, 4, 6};
    const uint32_t want_targets[] = {32, 33, 34, 35, 36, 52};
    assert_memory_equal(ids, want_ids, sizeof ids);
    assert_memory_equal(positions, want_positions, sizeof positions);
    assert_memory_equal(offsets, want_offsets, sizeof offsets);
    assert_memory_equal(rows, want_rows, sizeof rows);
    assert_memory_equal(targets, want_targets, sizeof targets);
    score_plan_free(&plan);
}

static void empty(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct score_plan plan;
    struct score_request none = {.document_count = 0};
    struct score_plan_options options = {1, 1, 1};
    assert_int_equal(score_plan_init(&plan, &none, &options, &err), 0);
    assert_int_equal(plan.batch_count, 0);
    assert_int_equal(plan.wave_count, 0);
    score_plan_free(&plan);
    score_plan_free(NULL);
    options.inputs_max = 0;
    assert_int_equal(score_plan_init(&plan, &none, &options, &err), ERR_INVALID);
}

static void requests(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct score_config config = {.vocabulary_rows = 54, .max_positions = 7};
    size_t total = 0;
    assert_int_equal(score_request_check(&config, &request, &total, &err), 0);
    assert_int_equal(total, 10);
    config.vocabulary_rows = 53;
    assert_int_equal(score_request_check(&config, &request, &total, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "document 5: token id 53 exceeds the model's vocabulary of 53"));
    config.vocabulary_rows = 54;
    config.max_positions = 6;
    assert_int_equal(score_request_check(&config, &request, &total, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "document 3: 7 inputs exceed the context of 6"));
    config.max_positions = 7;
    struct score_request wrong = request;
    wrong.token_count = 17;
    assert_int_equal(score_request_check(&config, &wrong, &total, &err), ERR_INVALID);
    const uint32_t zeros[] = {0, 0, 0, 0, 0}, many[] = {1, 2, 2, 5, 1}, big[] = {UINT32_MAX, 1, 1, 1, 1};
    wrong = request;
    wrong.target_first = zeros;
    assert_int_equal(score_request_check(&config, &wrong, &total, &err), ERR_INVALID);
    wrong = request;
    wrong.target_count = many;
    assert_int_equal(score_request_check(&config, &wrong, &total, &err), ERR_INVALID);
    wrong.target_count = zeros;
    assert_int_equal(score_request_check(&config, &wrong, &total, &err), ERR_INVALID);
    wrong = request;
    wrong.length = big;
    assert_int_equal(score_request_check(&config, &wrong, &total, &err), ERR_INVALID);
    wrong = request;
    wrong.target_count = big;
    assert_int_equal(score_request_check(&config, &wrong, &total, &err), ERR_INVALID);
}

static void flops(void **state)
{
    (void)state;
    /* One document of 3 inputs and 1 target at the last; d = 2, mlp = 8, one head, V = 5, 2 layers. */
    struct score_config config = {.architecture = "gpt_neox",
                                  .vocabulary_rows = 5,
                                  .hidden_size = 2,
                                  .layer_count = 2,
                                  .head_count = 1,
                                  .intermediate_size = 8};
    struct score_request one = request;
    one.document_count = 1;
    double first = 3 * 2 * (4 * 4 + 2 * 16) + 6 * 4 * 2; /* matrices; 1 + 2 + 3 pairs */
    double last = 3 * 2 * (2 * 4) + 1 * 2 * (2 * 4 + 2 * 16) + 3 * 4 * 2;
    assert_true(score_flops(&config, &one) == first + last + 2 * 2 * 5);
    /* Four heads of 3 for queries, two for keys and values, and a gate. */
    (void)snprintf(config.architecture, sizeof config.architecture, "llama");
    config.head_count = 4, config.key_value_head_count = 2, config.head_size = 3;
    double keys_and_values = 2 * 2 * 2 * 6, rest = 2 * (2 * 2 * 12 + 3 * 2 * 8);
    first = 3 * (keys_and_values + rest) + 6 * 4 * 12;
    last = 3 * keys_and_values + rest + 3 * 4 * 12;
    assert_true(score_flops(&config, &one) == first + last + 2 * 2 * 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches), cmocka_unit_test(long_documents_stand_alone),
        cmocka_unit_test(waves),   cmocka_unit_test(packing),
        cmocka_unit_test(empty),   cmocka_unit_test(requests),
        cmocka_unit_test(flops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
