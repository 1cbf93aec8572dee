/*
 * gpu_score MODULE SIZE COUNT f32|half|cpu: scores COUNT documents with a random model of the shape SIZE
 * (tests/tools/random_model.h) twice and prints JSON: the seconds of loading and of the second scoring, and
 * the log-probability of every target. Driven by compare_transformers.py.
 */
#include "gpu/cpu/backend.h"
#include "gpu/registry.h"
#include "tests/tools/random_model.h"

#include <time.h>

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void print(const struct score_result *result, double load_s, double score_s)
{
    printf("{\"load_s\": %.6f, \"score_s\": %.6f, \"flops\": %.6e, \"logprobs\": [", load_s, score_s,
           result->flops);
    for (size_t i = 0; i < result->target_total; i++)
        printf("%s%.9g", i ? ", " : "", result->logprobs[i]);
    printf("]}\n");
}

int main(int count, char **words)
{
    struct registry *registry = NULL;
    struct device *device = NULL;
    struct score_config config;
    struct random_model model;
    struct random_documents documents;
    struct score_result result;
    struct err err = ERR_INIT;
    void *loaded = NULL;
    size_t total = 0;
    if (count != 5 || random_model_config(words[2], &config) || random_model_init(&model, &config) ||
        random_documents_init(&documents, (size_t)strtoul(words[3], NULL, 10), 0,
                              random_model_tokens(&config))) {
        (void)fprintf(stderr, "usage: gpu_score MODULE SIZE COUNT f32|half|cpu\n");
        return 2;
    }
    int is_cpu = strcmp(words[4], "cpu") == 0;
    struct score_model_source source = {.config = config,
                                        .tensors = model.tensors,
                                        .tensor_count = model.tensor_count,
                                        .precision = strcmp(words[4], "half") == 0 ? SCORE_PRECISION_HALF
                                                                                   : SCORE_PRECISION_F32};
    double begin = now_s(), loaded_at = 0, again_at = 0;
    if (registry_new(cpu_backend(), words[1], &registry, &err) ||
        device_open(registry, is_cpu ? "cpu" : "cuda:0", NULL, &device, &err))
        goto out;
    const struct backend_table *backend = device_backend(device);
    begin = now_s();
    if (backend->model_load(device_context(device), &source, &loaded, &err))
        goto out;
    loaded_at = now_s();
    if (score_request_check(&config, &documents.request, &total, &err) ||
        score_result_init(&result, total, &err) ||
        backend->model_score(loaded, &documents.request, &result, &err))
        goto out;
    again_at = now_s();
    if (backend->model_score(loaded, &documents.request, &result, &err))
        goto out;
    print(&result, loaded_at - begin, now_s() - again_at);
    backend->model_free(loaded);
out:
    if (err.code)
        (void)fprintf(stderr, "%s: %s\n", err_name(err.code), err.message);
    device_close(device);
    registry_free(registry);
    return err.code ? 1 : 0;
}
