#include "gpu/cpu/score_vectors.h"

#define PARTS_MAX 4
#define NO_ROLE SCORE_ROLE_EMBEDDING /* which is of no layer */

/* The tensors that a vector is made of, as far as the model has them, one behind the other. */
static const enum score_role vector_roles[SCORE_VECTOR_COUNT][PARTS_MAX] = {
    [SCORE_VECTOR_ATTENTION_NORM_WEIGHT] = {SCORE_ROLE_ATTENTION_NORM_WEIGHT},
    [SCORE_VECTOR_ATTENTION_NORM_BIAS] = {SCORE_ROLE_ATTENTION_NORM_BIAS},
    [SCORE_VECTOR_MLP_NORM_WEIGHT] = {SCORE_ROLE_MLP_NORM_WEIGHT},
    [SCORE_VECTOR_MLP_NORM_BIAS] = {SCORE_ROLE_MLP_NORM_BIAS},
    [SCORE_VECTOR_QKV_BIAS] = {SCORE_ROLE_QKV_BIAS, SCORE_ROLE_QUERY_BIAS, SCORE_ROLE_KEY_BIAS,
                               SCORE_ROLE_VALUE_BIAS},
    [SCORE_VECTOR_QUERY_NORM_WEIGHT] = {SCORE_ROLE_QUERY_NORM_WEIGHT},
    [SCORE_VECTOR_KEY_NORM_WEIGHT] = {SCORE_ROLE_KEY_NORM_WEIGHT},
    [SCORE_VECTOR_ATTENTION_OUT_BIAS] = {SCORE_ROLE_ATTENTION_OUT_BIAS},
    [SCORE_VECTOR_MLP_UP_BIAS] = {SCORE_ROLE_MLP_GATE_BIAS, SCORE_ROLE_MLP_UP_BIAS},
    [SCORE_VECTOR_MLP_DOWN_BIAS] = {SCORE_ROLE_MLP_DOWN_BIAS},
    [SCORE_VECTOR_ROUTER_BIAS] = {SCORE_ROLE_ROUTER_BIAS},
};

/* Part `number` of a vector, or NULL. */
static const struct tensor_view *part_of(const struct tensor_view *views, int vector, int number)
{
    enum score_role role = vector_roles[vector][number];
    return role != NO_ROLE && views[role].data ? &views[role] : NULL;
}

uint64_t score_vectors_floats(const struct tensor_view *views)
{
    uint64_t floats = 0;
    for (int i = 0; i < SCORE_VECTOR_COUNT; i++)
        for (int j = 0; j < PARTS_MAX; j++) {
            const struct tensor_view *part = part_of(views, i, j);
            floats += part ? part->shape.dim[0] : 0;
        }
    return floats;
}

/* Fused q, k, v per head become q | k | v. */
static void split_heads(const struct score_config *config, const struct score_kernels *kernels,
                        const struct tensor_view *fused, float *out)
{
    size_t heads = (size_t)config->head_count, size = (size_t)score_head_size(config);
    size_t element_bytes = tensor_dtype_bits(fused->dtype) / 8;
    for (size_t head = 0; head < heads; head++)
        for (size_t part = 0; part < 3; part++)
            kernels->convert(fused->dtype,
                             (const unsigned char *)fused->data + (head * 3 + part) * size * element_bytes,
                             size, out + (part * heads + head) * size);
}

void score_vectors_add_one(float *weights, size_t count)
{
    for (size_t i = 0; i < count; i++)
        weights[i] += 1;
}

float *score_vectors_fill(const struct score_config *config, const struct score_architecture *architecture,
                          const struct score_kernels *kernels, const struct tensor_view *views, float *memory,
                          const float *ret_vectors[SCORE_VECTOR_COUNT])
{
    for (int i = 0; i < SCORE_VECTOR_COUNT; i++) {
        const float *begin = memory;
        for (int j = 0; j < PARTS_MAX; j++) {
            const struct tensor_view *part = part_of(views, i, j);
            if (!part)
                continue;
            if (i == SCORE_VECTOR_QKV_BIAS && architecture->qkv_order == SCORE_QKV_ORDER_PER_HEAD)
                split_heads(config, kernels, part, memory);
            else
                kernels->convert(part->dtype, part->data, (size_t)part->shape.dim[0], memory);
            if (architecture->has_norm_offset &&
                (i == SCORE_VECTOR_ATTENTION_NORM_WEIGHT || i == SCORE_VECTOR_MLP_NORM_WEIGHT))
                score_vectors_add_one(memory, (size_t)part->shape.dim[0]);
            memory += part->shape.dim[0];
        }
        ret_vectors[i] = memory > begin ? begin : NULL;
    }
    return memory;
}
