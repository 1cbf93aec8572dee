#include "tests/gpu/bench.h"

#include "gpu/cuda/score.h"
#include "tests/tools/random_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_S 6.0 /* no further round after this, of those beyond two */

static int config_of(const char *size, struct score_config *ret_config)
{
    if (strcmp(size, "6.9b") != 0)
        return random_model_config(size, ret_config);
    (void)random_model_config("1b", ret_config);
    ret_config->vocabulary_rows = 50432;
    ret_config->layer_count = 32;
    ret_config->hidden_size = 4096;
    ret_config->head_count = 32;
    ret_config->intermediate_size = 16384;
    ret_config->rotary_dimensions = 32;
    return 0;
}

/* Random weights of the true shapes: layers share their memory, since what the device does is the same. */
struct weights {
    struct score_tensor *tensors;
    size_t count;
    char (*names)[SCORE_NAME_BYTES];
    uint16_t *memory[SCORE_ROLE_COUNT];
    double bytes;
};

static void weights_free(struct weights *weights)
{
    for (int role = 0; role < SCORE_ROLE_COUNT; role++)
        free(weights->memory[role]);
    free(weights->tensors);
    free(weights->names);
}

static int weights_init(struct weights *weights, const struct score_config *config, struct err *err)
{
    size_t room = SCORE_ROLE_COUNT * (size_t)(config->layer_count + 1);
    *weights = (struct weights){.tensors = calloc(room, sizeof(*weights->tensors)),
                                .names = calloc(room, sizeof(*weights->names))};
    if (!weights->tensors || !weights->names)
        return err_set(err, ERR_NO_MEMORY, "no memory for a model");
    for (int role = 0; role < SCORE_ROLE_COUNT; role++) {
        struct tensor_shape shape;
        char name[SCORE_NAME_BYTES];
        score_tensor_name(config, (enum score_role)role, 0, name);
        if (!name[0]) /* not of this family */
            continue;
        score_tensor_shape(config, (enum score_role)role, &shape);
        size_t elements = (size_t)(shape.dim[0] * (shape.ndim == 2 ? shape.dim[1] : 1));
        weights->memory[role] = malloc(elements * sizeof(uint16_t));
        if (!weights->memory[role])
            return err_set(err, ERR_NO_MEMORY, "no memory for a model");
        bench_fill(weights->memory[role], elements,
                   shape.ndim == 2 ? 1.0F / sqrtf((float)shape.dim[1]) : 0.5F, (uint64_t)role);
        uint64_t layers = role < SCORE_ROLE_LAYER_FIRST ? 1 : config->layer_count;
        for (uint64_t layer = 0; layer < layers; layer++) {
            struct score_tensor *tensor = &weights->tensors[weights->count];
            score_tensor_name(config, (enum score_role)role, layer, weights->names[weights->count]);
            tensor->name = weights->names[weights->count++];
            tensor->view = (struct tensor_view){TENSOR_DTYPE_F16, shape, weights->memory[role]};
            weights->bytes += 2.0 * (double)elements;
        }
    }
    return 0;
}

/* Loads once more, and what of a load is no copying: looking for the tensors, and having the memory. */
static int load_again(struct bench *bench, const char *size, const struct score_model_source *source,
                      double bytes, struct err *err)
{
    struct score_weights views;
    struct cuda_model *model = NULL;
    void *memory = NULL;
    char label[96];
    double begin = bench_now_s();
    if (cuda_score_load(bench->device, source, &model, err))
        return err->code;
    const double load_s = bench_now_s() - begin;
    cuda_score_free(model); /* which leaves the pool empty */
    begin = bench_now_s();
    if (score_weights_find(source, &views, err))
        return err->code;
    const double found_s = bench_now_s() - begin;
    score_weights_free(&views);
    begin = bench_now_s();
    if (device_take(bench->device, (size_t)bytes, &memory, err) || device_wait(bench->device, err))
        return err->code;
    const double taken_s = bench_now_s() - begin;
    device_drop(bench->device, memory, (size_t)bytes);
    device_trim(bench->device);
    (void)snprintf(label, sizeof(label), "load %s, again", size);
    bench_print(label, bytes / load_s / 1e9, "GB/s", bench->pinned_bytes_per_s / 1e9);
    (void)snprintf(label, sizeof(label), "load %s: tensors found", size);
    bench_print(label, found_s * 1e3, "ms", 0);
    (void)snprintf(label, sizeof(label), "load %s: memory had", size);
    bench_print(label, taken_s * 1e3, "ms", 0);
    return 0;
}

static int measure(struct bench *bench, const char *size, size_t document_count, struct err *err)
{
    struct score_config config;
    struct weights weights = {.tensors = NULL};
    struct random_documents documents = {.tokens = NULL};
    struct score_result result = {.logprobs = NULL};
    struct cuda_model *model = NULL;
    size_t total = 0;
    double first_s = 0, best_s = 0;
    char label[96];
    if (config_of(size, &config))
        return err_set(err, ERR_INVALID, "unknown size %s", size);
    if (weights_init(&weights, &config, err) ||
        (random_documents_init(&documents, document_count, 0, random_model_tokens(&config)) &&
         err_set(err, ERR_NO_MEMORY, "no memory")))
        goto out;
    struct score_model_source source = {.config = config,
                                        .tensors = weights.tensors,
                                        .tensor_count = weights.count,
                                        .precision =
                                            bench->is_float32 ? SCORE_PRECISION_F32 : SCORE_PRECISION_HALF};
    double begin = bench_now_s();
    if (cuda_score_load(bench->device, &source, &model, err))
        goto out;
    double load_s = bench_now_s() - begin;
    if (score_request_check(&config, &documents.request, &total, err) ||
        score_result_init(&result, total, err))
        goto out;
    const double until = bench_now_s() + ROUNDS_S;
    for (int i = 0; i < 2 || (i < 4 && bench_now_s() < until); i++) { /* the first one warms up */
        begin = bench_now_s();
        if (cuda_score_run(model, &documents.request, &result, err))
            goto out;
        double seconds = bench_now_s() - begin;
        if (i == 0)
            first_s = seconds;
        else if (i == 1 || seconds < best_s)
            best_s = seconds;
    }
    (void)snprintf(label, sizeof(label), "load %s", size);
    bench_print(label, weights.bytes / load_s / 1e9, "GB/s", bench->pinned_bytes_per_s / 1e9);
    (void)snprintf(label, sizeof(label), "score %s %zu documents%s", size, document_count,
                   bench->is_float32 ? " in float32" : "");
    bench_print(label, best_s, "s", 0);
    (void)snprintf(label, sizeof(label), "score %s, first time", size);
    bench_print(label, first_s, "s", 0);
    (void)snprintf(label, sizeof(label), "score %s inputs", size);
    bench_print(label, (double)result.input_count / best_s, "1/s", 0);
    (void)snprintf(label, sizeof(label), "score %s products", size);
    bench_print(label, result.flops / best_s / 1e12, "TFLOP/s", bench->product_flops / 1e12);
    (void)snprintf(label, sizeof(label), "score %s device memory", size);
    bench_print(label, (double)result.memory_bytes / 1048576.0, "MiB", 0);
    cuda_score_free(model);
    model = NULL;
    (void)load_again(bench, size, &source, weights.bytes, err);
out:
    cuda_score_free(model);
    score_result_free(&result);
    random_documents_free(&documents);
    weights_free(&weights);
    return err->code;
}

/* A size that fails hides no other one. */
int bench_score(struct bench *bench, const char *sizes, size_t documents, struct err *err)
{
    char list[128], *rest = list;
    struct err first = ERR_INIT;
    (void)snprintf(list, sizeof(list), "%s", sizes);
    for (char *size; first.code != ERR_DEVICE_LOST && (size = strsep(&rest, ",")) != NULL;) {
        *err = (struct err)ERR_INIT;
        if (!*size || !measure(bench, size, documents, err))
            continue;
        (void)fprintf(stderr, "%s: %s: %s\n", size, err_name(err->code), err->message);
        if (!first.code || err->code == ERR_DEVICE_LOST)
            first = *err;
    }
    *err = first;
    return first.code;
}
