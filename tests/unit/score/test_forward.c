/*
 * The CPU's forward pass against the one of reference.h, for all variants of GPT-NeoX (test_families.c: of
 * the others); and what must not change a result: threads, streaming, the company of other documents.
 */
#include "daemon/base/limits.h"
#include "tests/unit/score/runs.h"

static const struct score_config small = {.architecture = "gpt_neox",
                                          .vocabulary_rows = 2500, /* more than one block */
                                          .hidden_size = 24,
                                          .layer_count = 3,
                                          .head_count = 3,
                                          .intermediate_size = 50,
                                          .max_positions = 200,
                                          .rotary_dimensions = 4,
                                          .rotary_base = 10000,
                                          .norm_epsilon = 1e-5,
                                          .activation = SCORE_ACTIVATION_GELU,
                                          .has_parallel_residual = 1,
                                          .has_attention_bias = 1,
                                          .is_tied = 0};

static void compare(const struct random_model *model, const struct random_documents *documents)
{
    struct score_model_source source = source_of(model);
    size_t total = 0;
    for (size_t i = 0; i < documents->request.document_count; i++)
        total += documents->target_count[i];
    double *logprobs = calloc(total, 8), *margins = calloc(total, 8);
    reference(&source, &documents->request, logprobs, margins);
    double worst = error_of(model, documents, (struct setting){2, 0}, logprobs, margins);
    print_message("largest error of a log-probability: %.1e\n", worst);
    assert_true(worst < 2e-5);
    free(logprobs), free(margins);
}

static void variants(void **state)
{
    (void)state;
    for (int i = 0; i < 9; i++) {
        struct score_config config = small;
        struct random_model model;
        struct random_documents documents;
        config.has_parallel_residual = i != 1;
        config.has_attention_bias = i != 2;
        config.is_tied = i == 3;
        config.activation = i == 4   ? SCORE_ACTIVATION_GELU_TANH
                            : i == 5 ? SCORE_ACTIVATION_RELU
                                     : small.activation;
        config.rotary_dimensions = i == 6 ? 0 : i == 7 ? 8 : small.rotary_dimensions;
        config.layer_count = i == 8 ? 1 : 3;
        if (i == 1 || i == 3) { /* sizes that suit the matrix units */
            config.hidden_size = 96;
            config.intermediate_size = 200;
        }
        assert_int_equal(random_model_init(&model, &config), 0);
        assert_int_equal(random_documents_init(&documents, 6, 200, 2500), 0);
        compare(&model, &documents);
        random_documents_free(&documents);
        random_model_free(&model);
    }
}

static void dtypes_and_sizes(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct score_config config = small;
        struct random_model model;
        struct random_documents documents;
        if (i >= 2) { /* round sizes, and the smallest */
            config.hidden_size = i == 2 ? 64 : 1;
            config.head_count = i == 2 ? 2 : 1;
            config.rotary_dimensions = i == 2 ? 8 : 0;
            config.intermediate_size = i == 2 ? 256 : 1;
            config.vocabulary_rows = i == 2 ? 2048 : 1;
        }
        assert_int_equal(random_model_init(&model, &config), 0);
        assert_int_equal(random_documents_init(&documents, 4, 65, (uint32_t)config.vocabulary_rows), 0);
        change_dtype(&model, i % 2 ? TENSOR_DTYPE_F32 : TENSOR_DTYPE_BF16);
        compare(&model, &documents);
        random_documents_free(&documents);
        random_model_free(&model);
    }
}

/* All tokens but the first are targets, and documents overlap. */
static void all_positions(void **state)
{
    (void)state;
    struct random_model model;
    struct random_documents documents;
    assert_int_equal(random_model_init(&model, &small), 0);
    assert_int_equal(random_documents_init(&documents, 4, 130, 2500), 0);
    for (size_t i = 0; i < 4; i++) {
        documents.target_first[i] = 1;
        documents.target_count[i] = documents.length[i] - 1;
    }
    documents.begin[2] -= 30;
    documents.target_count[3] = 7;
    compare(&model, &documents);
    random_documents_free(&documents);
    random_model_free(&model);
}

static void nothing_else_matters(void **state)
{
    (void)state;
    struct random_model model;
    struct random_documents documents;
    struct score_result one, other, alone;
    struct score_config config = small;
    config.hidden_size = 96, config.vocabulary_rows = 20000; /* weights that are worth streaming */
    assert_int_equal(random_model_init(&model, &config), 0);
    assert_int_equal(random_documents_init(&documents, 40, 200, 20000), 0);
    struct score_model_source source = source_of(&model);
    score(&source, &documents.request, (struct setting){1, 0}, &one);
    for (int threads = 2; threads <= 5; threads += 3) {
        score(&source, &documents.request, (struct setting){threads, 0}, &other);
        assert_equal(&one, &other);
        score_result_free(&other);
    }
    /* Streamed layer by layer: the same bits, as the batches are the same. */
    score(&source, &documents.request, (struct setting){1, one.memory_bytes - 2 * MIB}, &other);
    assert_true(other.memory_bytes <= one.memory_bytes - 2 * MIB);
    assert_equal(&one, &other);
    score_result_free(&other);
    /* Alone or among others: products of other sizes may round differently, no more. */
    size_t target = 0;
    for (size_t i = 0; i < 40; target += documents.target_count[i], i++) {
        struct score_request single = documents.request;
        single.document_count = 1;
        single.begin += i, single.length += i, single.target_first += i, single.target_count += i;
        score(&source, &single, (struct setting){1, 0}, &alone);
        for (uint32_t j = 0; j < documents.target_count[i]; j++)
            assert_true(fabs(alone.logprobs[j] - one.logprobs[target + j]) < 1e-5);
        score_result_free(&alone);
    }
    score_result_free(&one);
    random_documents_free(&documents);
    random_model_free(&model);
}

static void not_a_number(void **state)
{
    (void)state;
    struct random_model model;
    struct random_documents documents;
    struct score_result result;
    assert_int_equal(random_model_init(&model, &small), 0);
    assert_int_equal(random_documents_init(&documents, 3, 70, 2500), 0);
    struct score_model_source source = source_of(&model);
    for (size_t i = 0; i < model.tensor_count; i++) {
        uint16_t *data = (uint16_t *)(uintptr_t)model.tensors[i].view.data, kept = data[0];
        int is_embedding = strstr(model.tensors[i].name, "embed_in") != NULL;
        for (int j = 0; j < 2; j++) {
            data[0] = j ? 0x7c00 : 0x7e00; /* Inf, NaN */
            score(&source, &documents.request, (struct setting){1, 0}, &result);
            for (size_t k = 0; k < result.target_total && !is_embedding; k++) {
                assert_true(isnan(result.logprobs[k]) || j);
                assert_true(isfinite(result.logprobs[k]) || !result.is_argmax[k]);
            }
            score_result_free(&result);
        }
        data[0] = kept;
    }
    random_documents_free(&documents);
    random_model_free(&model);
}

static void refusals(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct random_model model;
    struct random_documents documents;
    struct score_result result;
    assert_int_equal(random_model_init(&model, &small), 0);
    assert_int_equal(random_documents_init(&documents, 3, 70, 2500), 0);
    struct score_model_source source = source_of(&model);
    assert_int_equal(try_score(&source, &documents.request, (struct setting){1, 100 * KIB}, &result, &err),
                     ERR_NO_MEMORY);
    print_message("%s\n", err.message);
    assert_non_null(strstr(err.message, "more than the budget of 0.1 MiB"));
    atomic_bool cancel = 1;
    source.watch.cancel = &cancel;
    assert_int_equal(try_score(&source, &documents.request, (struct setting){2, 0}, &result, &err),
                     ERR_CANCELLED);
    assert_non_null(strstr(err.message, "loading was cancelled"));
    source.watch.cancel = NULL;
    source.precision = SCORE_PRECISION_HALF;
    assert_int_equal(try_score(&source, &documents.request, (struct setting){1, 0}, &result, &err),
                     ERR_UNSUPPORTED);
    source.precision = SCORE_PRECISION_F32;
    struct score_request none = {.document_count = 0};
    assert_int_equal(try_score(&source, &none, (struct setting){1, 0}, &result, &err), 0);
    score_result_free(&result);
    cpu_score_free(NULL);
    random_documents_free(&documents);
    random_model_free(&model);
}

static int take_engine(void **state)
{
    enum gemm_engine engine = *(enum gemm_engine *)*state;
    use_engine(engine);
    print_message("-- products by %s\n", gemm_engine_name(engine));
    return 0;
}

int main(void)
{
    enum gemm_engine best = gemm_start(cpu_isa_best());
    int failed = 0;
    for (enum gemm_engine engine = GEMM_ENGINE_BLAS; engine <= best; engine++) {
#define CASE(test)                                                                                           \
    {                                                                                                        \
#test, test, take_engine, NULL, &engine                                                              \
    }
        const struct CMUnitTest tests[] = {
            CASE(variants),     CASE(dtypes_and_sizes), CASE(all_positions), CASE(nothing_else_matters),
            CASE(not_a_number), CASE(refusals),
        };
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
