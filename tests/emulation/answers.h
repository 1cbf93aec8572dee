/* A model scored once, as numbers that can be compared. */
#ifndef BIFURCATED_TESTS_EMULATION_ANSWERS_H
#define BIFURCATED_TESTS_EMULATION_ANSWERS_H

#include "gpu/backend.h"
#include "gpu/score.h"

#include <math.h>
#include <string.h>

#define TARGETS_MAX 64

struct answer {
    size_t count;
    double logprobs[TARGETS_MAX];
    char slow[SCORE_SLOW_BYTES];
};

static inline int answer_score(const struct backend_table *backend, const struct score_config *config,
                               void *loaded, const struct score_request *request, struct answer *answer,
                               struct err *err)
{
    struct score_result result = {0};
    size_t total = 0;
    int code = score_request_check(config, request, &total, err);
    if (!code && total > TARGETS_MAX)
        code = err_set(err, ERR_LIMIT, "%zu targets", total);
    if (!code && !(code = score_result_init(&result, total, err)) &&
        !(code = backend->model_score(loaded, request, &result, err))) {
        answer->count = total;
        memcpy(answer->logprobs, result.logprobs, total * sizeof(double));
        memcpy(answer->slow, result.slow, sizeof answer->slow);
    }
    score_result_free(&result);
    return code;
}

/* Loads, scores, frees. */
static inline int answer_load(const struct backend_table *backend, void *device,
                              const struct score_model_source *source, const struct score_request *request,
                              struct answer *answer, struct err *err)
{
    void *loaded = NULL;
    int code = backend->model_load(device, source, &loaded, err);
    if (!code)
        code = answer_score(backend, &source->config, loaded, request, answer, err);
    backend->model_free(loaded);
    return code;
}

static inline int answer_is_same(const struct answer *a, const struct answer *b)
{
    return a->count == b->count && memcmp(a->logprobs, b->logprobs, a->count * sizeof(double)) == 0;
}

static inline int answer_is_within(const struct answer *a, const struct answer *b, double tolerance)
{
    for (size_t i = 0; i < a->count; i++)
        if (!(fabs(a->logprobs[i] - b->logprobs[i]) < tolerance))
            return 0;
    return a->count == b->count;
}

/* Other batches are rounded in another order. */
static inline int answer_is_near(const struct answer *a, const struct answer *b)
{
    return answer_is_within(a, b, 1e-4);
}

#endif
