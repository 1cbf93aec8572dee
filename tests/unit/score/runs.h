/*
 * Runs of the CPU backend on random models, for the tests of its forward pass.
 */
#ifndef BIFURCATED_TESTS_UNIT_SCORE_RUNS_H
#define BIFURCATED_TESTS_UNIT_SCORE_RUNS_H

#include "gpu/cpu/gemm.h"
#include "gpu/cpu/score.h"
#include "tests/unit/score/reference.h"

static enum cpu_isa isa_of_tests;

struct setting {
    int threads;
    uint64_t budget_bytes;
};

static inline int try_score(const struct score_model_source *source, const struct score_request *request,
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

static inline void score(const struct score_model_source *source, const struct score_request *request,
                         struct setting setting, struct score_result *result)
{
    struct err err = ERR_INIT;
    if (try_score(source, request, setting, result, &err))
        fail_msg("%s", err.message);
}

static inline struct score_model_source source_of(const struct random_model *model)
{
    return (struct score_model_source){
        .config = model->config, .tensors = model->tensors, .tensor_count = model->tensor_count};
}

/* The weights in another dtype, in place. */
static inline void change_dtype(struct random_model *model, enum tensor_dtype dtype)
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

/* Scores and compares with what the reference gave; returns the largest error. */
static inline double error_of(const struct random_model *model, const struct random_documents *documents,
                              struct setting setting, const double *logprobs, const double *margins)
{
    struct score_result result;
    struct score_model_source source = source_of(model);
    double worst = 0;
    score(&source, &documents->request, setting, &result);
    for (size_t i = 0; i < result.target_total; i++) {
        assert_true(isfinite(result.logprobs[i])); /* fmax() passes over NaN */
        worst = fmax(worst, fabs(result.logprobs[i] - logprobs[i]));
        if (fabs(margins[i]) > 1e-4)
            assert_int_equal(result.is_argmax[i], margins[i] > 0);
    }
    score_result_free(&result);
    return worst;
}

static inline void assert_equal(const struct score_result *a, const struct score_result *b)
{
    assert_int_equal(a->target_total, b->target_total);
    assert_memory_equal(a->logprobs, b->logprobs, a->target_total * sizeof(double));
    assert_memory_equal(a->is_argmax, b->is_argmax, a->target_total);
}

/* Products by this engine from now on; the lowest one stands for plain C, too. */
static inline void use_engine(enum gemm_engine engine)
{
    isa_of_tests = engine == GEMM_ENGINE_BLAS ? CPU_ISA_PORTABLE : cpu_isa_best();
    assert_int_equal(setenv(GEMM_ENGINE_VARIABLE, gemm_engine_name(engine), 1), 0);
}

#endif
