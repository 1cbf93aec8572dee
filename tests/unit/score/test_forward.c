/*
 * The CPU's forward pass against one written down in float64 as plainly as possible, for all variants of the
 * architecture; and what must not change a result: threads, streaming, the company of other documents.
 */
#include "daemon/base/limits.h"
#include "gpu/cpu/gemm.h"
#include "gpu/cpu/score.h"
#include "tests/tools/random_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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

/* -- The reference ---------------------------------------------------------------------------------- */

static double element(const struct tensor_view *view, size_t index)
{
    if (!view->data)
        return 0;
    if (view->dtype == TENSOR_DTYPE_F32)
        return (double)((const float *)view->data)[index];
    uint16_t half = ((const uint16_t *)view->data)[index];
    return (double)(view->dtype == TENSOR_DTYPE_F16 ? half_from_f16(half) : half_from_bf16(half));
}

static void linear(const struct tensor_view *weight, const struct tensor_view *bias, const double *x,
                   double *y)
{
    size_t rows = weight->shape.dim[0], columns = weight->shape.dim[1];
    for (size_t i = 0; i < rows; i++) {
        y[i] = bias ? element(bias, i) : 0;
        for (size_t j = 0; j < columns; j++)
            y[i] += element(weight, i * columns + j) * x[j];
    }
}

static void norm(const struct score_config *config, const struct tensor_view *weight,
                 const struct tensor_view *bias, const double *x, double *y)
{
    size_t d = config->hidden_size;
    double mean = 0, variance = 0;
    for (size_t i = 0; i < d; i++)
        mean += x[i] / (double)d;
    for (size_t i = 0; i < d; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (double)d;
    for (size_t i = 0; i < d; i++)
        y[i] = (x[i] - mean) / sqrt(variance + config->norm_epsilon) * element(weight, i) + element(bias, i);
}

static void rotate(const struct score_config *config, size_t position, double *x)
{
    size_t half = config->rotary_dimensions / 2;
    for (size_t j = 0; j < half; j++) {
        double angle = (double)position * pow(config->rotary_base, -(double)j / (double)half);
        double a = x[j], b = x[half + j];
        x[j] = a * cos(angle) - b * sin(angle);
        x[half + j] = b * cos(angle) + a * sin(angle);
    }
}

static double activation(const struct score_config *config, double x)
{
    if (config->activation == SCORE_ACTIVATION_GELU)
        return 0.5 * x * erfc(-x / sqrt(2));
    if (config->activation == SCORE_ACTIVATION_GELU_TANH)
        return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    return x > 0 ? x : 0;
}

/* qkv [n, 3 d] with q, k, v per head; out [n, d]. */
static void attend(const struct score_config *config, size_t n, double *qkv, double *out)
{
    size_t d = config->hidden_size, size = d / config->head_count;
    for (size_t head = 0; head < config->head_count; head++) {
        for (size_t i = 0; i < n; i++) {
            rotate(config, i, qkv + i * 3 * d + head * 3 * size);
            rotate(config, i, qkv + i * 3 * d + head * 3 * size + size);
        }
        for (size_t i = 0; i < n; i++) {
            double weight[256], sum = 0;
            const double *q = qkv + i * 3 * d + head * 3 * size;
            for (size_t j = 0; j <= i; j++) {
                double dot = 0;
                for (size_t k = 0; k < size; k++)
                    dot += q[k] * qkv[j * 3 * d + head * 3 * size + size + k];
                sum += weight[j] = exp(dot / sqrt((double)size));
            }
            for (size_t k = 0; k < size; k++) {
                out[i * d + head * size + k] = 0;
                for (size_t j = 0; j <= i; j++)
                    out[i * d + head * size + k] +=
                        weight[j] / sum * qkv[j * 3 * d + head * 3 * size + 2 * size + k];
            }
        }
    }
}

static void reference_layer(const struct score_config *config, const struct tensor_view *w, size_t n,
                            double *x)
{
    size_t d = config->hidden_size;
    double *qkv = calloc(n * 3 * d, 8), *attended = calloc(n * d, 8),
           *wide = calloc(config->intermediate_size, 8);
    double *normed = calloc(d, 8), *delta = calloc(d, 8), *before = calloc(d, 8);
    for (size_t i = 0; i < n; i++) {
        norm(config, &w[SCORE_ROLE_ATTENTION_NORM_WEIGHT], &w[SCORE_ROLE_ATTENTION_NORM_BIAS], x + i * d,
             normed);
        linear(&w[SCORE_ROLE_QKV_WEIGHT], &w[SCORE_ROLE_QKV_BIAS], normed, qkv + i * 3 * d);
    }
    attend(config, n, qkv, attended);
    for (size_t i = 0; i < n; i++) {
        double *row = x + i * d;
        memcpy(before, row, d * 8);
        linear(&w[SCORE_ROLE_ATTENTION_OUT_WEIGHT], &w[SCORE_ROLE_ATTENTION_OUT_BIAS], attended + i * d,
               delta);
        for (size_t k = 0; k < d; k++)
            row[k] += delta[k];
        norm(config, &w[SCORE_ROLE_MLP_NORM_WEIGHT], &w[SCORE_ROLE_MLP_NORM_BIAS],
             config->has_parallel_residual ? before : row, normed);
        linear(&w[SCORE_ROLE_MLP_UP_WEIGHT], &w[SCORE_ROLE_MLP_UP_BIAS], normed, wide);
        for (size_t k = 0; k < config->intermediate_size; k++)
            wide[k] = activation(config, wide[k]);
        linear(&w[SCORE_ROLE_MLP_DOWN_WEIGHT], &w[SCORE_ROLE_MLP_DOWN_BIAS], wide, delta);
        for (size_t k = 0; k < d; k++)
            row[k] += delta[k];
    }
    free(qkv), free(attended), free(wide), free(normed), free(delta), free(before);
}

/* Log-probabilities of all targets, and how far the best other logit is from each (positive: argmax). */
static void reference(const struct score_model_source *source, const struct score_request *request,
                      double *logprobs, double *margins)
{
    struct err err = ERR_INIT;
    struct score_weights weights;
    const struct score_config *config = &source->config;
    size_t d = config->hidden_size, vocabulary = config->vocabulary_rows, target = 0;
    double *logits = calloc(vocabulary, 8), *normed = calloc(d, 8);
    assert_int_equal(score_weights_find(source, &weights, &err), 0);
    for (size_t i = 0; i < request->document_count; i++) {
        size_t n = request->length[i] - 1;
        const uint32_t *ids = request->tokens + request->begin[i];
        double *x = calloc(n * d, 8);
        for (size_t j = 0; j < n * d; j++)
            x[j] = element(&weights.model[SCORE_ROLE_EMBEDDING], ids[j / d] * d + j % d);
        for (size_t layer = 0; layer < config->layer_count; layer++)
            reference_layer(config, weights.layers[layer], n, x);
        for (uint32_t j = 0; j < request->target_count[i]; j++, target++) {
            uint32_t wanted = ids[request->target_first[i] + j];
            double sum = 0, other = (double)-INFINITY;
            norm(config, &weights.model[SCORE_ROLE_FINAL_NORM_WEIGHT],
                 &weights.model[SCORE_ROLE_FINAL_NORM_BIAS], x + (request->target_first[i] + j - 1) * d,
                 normed);
            linear(&weights.model[SCORE_ROLE_UNEMBEDDING], NULL, normed, logits);
            for (size_t k = 0; k < vocabulary; k++) {
                sum += exp(logits[k]);
                other = k != wanted && logits[k] > other ? logits[k] : other;
            }
            logprobs[target] = logits[wanted] - log(sum);
            margins[target] = logits[wanted] - other;
        }
        free(x);
    }
    score_weights_free(&weights);
    free(logits), free(normed);
}

/* The cases run once per engine that the machine has, and once in plain C. */
static enum cpu_isa isa_of_tests;

/* -- Cases ----------------------------------------------------------------------------------------- */

struct setting {
    int threads;
    uint64_t budget_bytes;
};

static int try_score(const struct score_model_source *source, const struct score_request *request,
                     struct setting setting, struct score_result *result, struct err *err)
{
    struct cpu_threads *threads = NULL;
    struct cpu_score_model *model = NULL;
    struct score_model_source bounded = *source;
    bounded.memory_budget_bytes = setting.budget_bytes;
    size_t total = 0;
    for (size_t i = 0; i < request->document_count; i++)
        total += request->target_count[i];
    assert_int_equal(cpu_threads_new(setting.threads, &threads, err), 0);
    assert_int_equal(score_result_init(result, total, err), 0);
    int code = cpu_score_load(threads, isa_of_tests, &bounded, &model, err);
    if (!code)
        code = cpu_score_run(model, request, result, err);
    cpu_score_free(model);
    cpu_threads_free(threads);
    if (code)
        score_result_free(result);
    return code;
}

static void score(const struct score_model_source *source, const struct score_request *request,
                  struct setting setting, struct score_result *result)
{
    struct err err = ERR_INIT;
    if (try_score(source, request, setting, result, &err))
        fail_msg("%s", err.message);
}

static struct score_model_source source_of(const struct random_model *model)
{
    return (struct score_model_source){
        .config = model->config, .tensors = model->tensors, .tensor_count = model->tensor_count};
}

/* The weights in another dtype, in place. */
static void change_dtype(struct random_model *model, enum tensor_dtype dtype)
{
    for (size_t i = 0; i < model->tensor_count; i++) {
        struct tensor_view *view = &model->tensors[i].view;
        size_t count = view->shape.dim[0] * (view->shape.ndim == 2 ? view->shape.dim[1] : 1);
        float *floats = calloc(count, 4);
        uint16_t *halves = (uint16_t *)floats;
        for (size_t j = 0; j < count; j++) {
            float value = half_from_f16(((const uint16_t *)view->data)[j]) * 1.001F;
            uint32_t bits = half_bits_of_float(value);
            if (dtype == TENSOR_DTYPE_F32)
                floats[j] = value;
            else
                halves[j] = (uint16_t)(bits >> 16);
        }
        free((void *)(uintptr_t)view->data);
        view->data = floats;
        view->dtype = dtype;
    }
}

static void compare(const struct random_model *model, const struct random_documents *documents)
{
    struct score_result result;
    struct score_model_source source = source_of(model);
    score(&source, &documents->request, (struct setting){2, 0}, &result);
    double *logprobs = calloc(result.target_total, 8), *margins = calloc(result.target_total, 8), worst = 0;
    reference(&source, &documents->request, logprobs, margins);
    for (size_t i = 0; i < result.target_total; i++) {
        assert_true(isfinite(result.logprobs[i])); /* fmax() passes over NaN */
        worst = fmax(worst, fabs(result.logprobs[i] - logprobs[i]));
        if (fabs(margins[i]) > 1e-4)
            assert_int_equal(result.is_argmax[i], margins[i] > 0);
    }
    print_message("largest error of a log-probability: %.1e\n", worst);
    assert_true(worst < 2e-5);
    free(logprobs), free(margins);
    score_result_free(&result);
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

static void assert_equal(const struct score_result *a, const struct score_result *b)
{
    assert_int_equal(a->target_total, b->target_total);
    assert_memory_equal(a->logprobs, b->logprobs, a->target_total * sizeof(double));
    assert_memory_equal(a->is_argmax, b->is_argmax, a->target_total);
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
    isa_of_tests = engine == GEMM_ENGINE_BLAS ? CPU_ISA_PORTABLE : cpu_isa_best();
    assert_int_equal(setenv(GEMM_ENGINE_VARIABLE, gemm_engine_name(engine), 1), 0);
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
