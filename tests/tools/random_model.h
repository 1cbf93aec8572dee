/*
 * Models and documents of random numbers that Python can make too (tests/tools/random_model.py): every number
 * is a hash of its tensor's name and its place, so that nothing needs to be stored.
 */
#ifndef BIFURCATED_TESTS_TOOLS_RANDOM_MODEL_H
#define BIFURCATED_TESTS_TOOLS_RANDOM_MODEL_H

#include "gpu/half.h"
#include "gpu/score_architecture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a of a name, the seed of its numbers. */
static inline uint64_t random_seed(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325U;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3U;
    return hash;
}

/* The finaliser of splitmix64 over seed and place. */
static inline uint64_t random_at(uint64_t seed, uint64_t place)
{
    uint64_t x = seed + (place + 1) * 0x9e3779b97f4a7c15U;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27) * 0x94d049bb133111ebU;
    return x ^ x >> 31;
}

/* offset + scale * u as float16, u uniform in [-1, 1) in steps of 2^-15. */
static inline uint16_t random_half(uint64_t seed, uint64_t place, float offset, float scale)
{
    float u = (float)((int32_t)(random_at(seed, place) >> 48) - 32768) / 32768.0F;
    float scaled = scale * u;
    return half_to_f16(offset + scaled);
}

struct random_model {
    struct score_config config;
    struct score_tensor *tensors;
    size_t tensor_count;
};

/* The family of Llama: the shapes of SmolLM2 135M and of Llama 3.2 1B. */
static inline int random_llama_config(const char *size, struct score_config *ret_config)
{
    const int is_large = strcmp(size, "llama-1b") == 0;
    if (!is_large && strcmp(size, "smollm2-135m") != 0)
        return -1;
    *ret_config = (struct score_config){.architecture = "llama",
                                        .vocabulary_rows = is_large ? 128256 : 49152,
                                        .hidden_size = is_large ? 2048 : 576,
                                        .layer_count = is_large ? 16 : 30,
                                        .head_count = is_large ? 32 : 9,
                                        .key_value_head_count = is_large ? 8 : 3,
                                        .intermediate_size = is_large ? 8192 : 1536,
                                        .max_positions = 8192,
                                        .rotary_dimensions = 64,
                                        .rotary_base = is_large ? 500000 : 100000,
                                        .norm_epsilon = 1e-5,
                                        .activation = SCORE_ACTIVATION_SILU,
                                        .is_tied = 1};
    return 0;
}

/* Families with positions that are learned, or a slope: the shapes of GPT-2 and of BLOOM 560M. */
static inline int random_other_config(const char *size, struct score_config *ret_config)
{
    const int is_gpt2 = strcmp(size, "gpt2") == 0;
    if (!is_gpt2 && strcmp(size, "bloom-560m") != 0)
        return random_llama_config(size, ret_config);
    *ret_config = (struct score_config){.architecture = "bloom",
                                        .vocabulary_rows = is_gpt2 ? 50257 : 250880,
                                        .hidden_size = is_gpt2 ? 768 : 1024,
                                        .layer_count = is_gpt2 ? 12 : 24,
                                        .head_count = is_gpt2 ? 12 : 16,
                                        .intermediate_size = is_gpt2 ? 3072 : 4096,
                                        .max_positions = is_gpt2 ? 1024 : 2048,
                                        .position_rows = is_gpt2 ? 1024 : 0,
                                        .norm_epsilon = 1e-5,
                                        .activation = SCORE_ACTIVATION_GELU_TANH,
                                        .is_tied = 1};
    if (is_gpt2)
        (void)snprintf(ret_config->architecture, sizeof ret_config->architecture, "gpt2");
    return 0;
}

/* "14m", "31m", "70m", "160m", "410m", "1b": the shapes of Pythia; "smollm2-135m", "llama-1b",
 * "gpt2", "bloom-560m". */
static inline int random_model_config(const char *size, struct score_config *ret_config)
{
    static const struct {
        const char *name;
        uint64_t layers, hidden, heads;
    } sizes[] = {{"14m", 6, 128, 4},    {"31m", 6, 256, 8},     {"70m", 6, 512, 8},
                 {"160m", 12, 768, 12}, {"410m", 24, 1024, 16}, {"1b", 16, 2048, 8}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (strcmp(sizes[i].name, size) != 0)
            continue;
        *ret_config = (struct score_config){.architecture = "gpt_neox",
                                            .vocabulary_rows = 50304,
                                            .hidden_size = sizes[i].hidden,
                                            .layer_count = sizes[i].layers,
                                            .head_count = sizes[i].heads,
                                            .intermediate_size = 4 * sizes[i].hidden,
                                            .max_positions = 2048,
                                            .rotary_dimensions = sizes[i].hidden / sizes[i].heads / 4,
                                            .rotary_base = 10000,
                                            .norm_epsilon = 1e-5,
                                            .activation = SCORE_ACTIVATION_GELU,
                                            .has_parallel_residual = 1,
                                            .has_attention_bias = 1,
                                            .is_tied = 0};
        return 0;
    }
    return random_other_config(size, ret_config);
}

/* The ids of a model's documents are below: Pythia's tokens, or fewer. */
static inline uint32_t random_model_tokens(const struct score_config *config)
{
    return config->vocabulary_rows < 50277 ? (uint32_t)config->vocabulary_rows : 50277;
}

static inline void random_tensor(const struct score_config *config, enum score_role role, uint64_t number,
                                 struct score_tensor *tensor)
{
    char name[SCORE_NAME_BYTES];
    score_tensor_name(config, role, number, name);
    tensor->name = NULL;
    if (!name[0])
        return;
    tensor->name = strdup(name);
    tensor->view.dtype = TENSOR_DTYPE_F16;
    score_tensor_shape(config, role, &tensor->view.shape);
    const struct tensor_shape *shape = &tensor->view.shape;
    uint64_t count = shape->dim[0] * (shape->ndim == 2 ? shape->dim[1] : 1), seed = random_seed(name);
    uint16_t *data = malloc(count * sizeof *data);
    int is_norm_weight = role == SCORE_ROLE_FINAL_NORM_WEIGHT || role == SCORE_ROLE_ATTENTION_NORM_WEIGHT ||
                         role == SCORE_ROLE_MLP_NORM_WEIGHT || role == SCORE_ROLE_QUERY_NORM_WEIGHT ||
                         role == SCORE_ROLE_KEY_NORM_WEIGHT || role == SCORE_ROLE_EMBEDDING_NORM_WEIGHT;
    float scale = 0.1F, offset = is_norm_weight ? 1.0F : 0.0F;
    int is_unembedding = role == SCORE_ROLE_UNEMBEDDING || (role == SCORE_ROLE_EMBEDDING && config->is_tied);
    if (shape->ndim == 2)
        scale = (float)((is_unembedding ? 4.0 : 1.4) / sqrt((double)shape->dim[1]));
    if (role == SCORE_ROLE_EMBEDDING && !config->is_tied)
        scale = 1.0F;
    for (uint64_t i = 0; data && i < count; i++)
        data[i] = random_half(seed, i, offset, scale);
    tensor->view.data = data;
}

static inline int random_model_init(struct random_model *model, const struct score_config *config)
{
    *model = (struct random_model){.config = *config};
    model->tensors = calloc(score_tensor_count_max(config), sizeof *model->tensors);
    if (!model->tensors)
        return -1;
    for (int role = 0; role < SCORE_ROLE_COUNT; role++)
        for (uint64_t i = 0; i < score_role_count(config, (enum score_role)role); i++) {
            struct score_tensor *tensor = &model->tensors[model->tensor_count];
            random_tensor(config, (enum score_role)role, i, tensor);
            if (tensor->name)
                model->tensor_count++;
        }
    return 0;
}

static inline void random_model_free(struct random_model *model)
{
    for (size_t i = 0; i < model->tensor_count; i++) {
        free((void *)(uintptr_t)model->tensors[i].name);
        free((void *)(uintptr_t)model->tensors[i].view.data);
    }
    free(model->tensors);
}

/* Documents; all arrays in one struct. */
struct random_documents {
    struct score_request request;
    uint32_t *tokens, *length, *target_first, *target_count;
    uint64_t *begin;
};

/* `count` documents: about as long as LAMBADA's (40 to 134 tokens, 87 on average) with 1 to 3 targets at the
 * end; the first two are of 2 and `longest` tokens. Ids are below `vocabulary`. */
static inline int random_documents_init(struct random_documents *documents, size_t count, size_t longest,
                                        uint32_t vocabulary)
{
    uint64_t seed = random_seed("documents");
    struct random_documents made = {.length = calloc(count, 4),
                                    .target_first = calloc(count, 4),
                                    .target_count = calloc(count, 4),
                                    .begin = calloc(count, 8)};
    size_t total = 0;
    if (!made.length || !made.target_first || !made.target_count || !made.begin)
        return -1;
    for (size_t i = 0; i < count; i++) {
        made.length[i] = 40 + (uint32_t)(random_at(seed, 2 * i) % 95);
        if (longest && i < 2)
            made.length[i] = i ? (uint32_t)longest : 2;
        uint32_t targets = 1 + (uint32_t)(random_at(seed, 2 * i + 1) % 3);
        made.target_count[i] = targets < made.length[i] ? targets : made.length[i] - 1;
        made.target_first[i] = made.length[i] - made.target_count[i];
        made.begin[i] = total;
        total += made.length[i];
    }
    made.tokens = calloc(total, 4);
    if (!made.tokens)
        return -1;
    seed = random_seed("tokens");
    for (size_t i = 0; i < total; i++)
        made.tokens[i] = (uint32_t)(random_at(seed, i) % vocabulary);
    made.request = (struct score_request){.tokens = made.tokens,
                                          .token_count = total,
                                          .document_count = count,
                                          .begin = made.begin,
                                          .length = made.length,
                                          .target_first = made.target_first,
                                          .target_count = made.target_count};
    *documents = made;
    return 0;
}

static inline void random_documents_free(struct random_documents *documents)
{
    free(documents->tokens);
    free(documents->length);
    free(documents->target_first);
    free(documents->target_count);
    free(documents->begin);
}

#endif
