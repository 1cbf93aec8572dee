/*
 * The vectors of a layer on the CPU, as float32: weights of norms, and biases.
 */
#ifndef BIFURCATED_GPU_CPU_SCORE_VECTORS_H
#define BIFURCATED_GPU_CPU_SCORE_VECTORS_H

#include "gpu/cpu/score_kernels.h"
#include "gpu/score_architecture.h"

enum score_vector {
    SCORE_VECTOR_ATTENTION_NORM_WEIGHT,
    SCORE_VECTOR_ATTENTION_NORM_BIAS,
    SCORE_VECTOR_MLP_NORM_WEIGHT,
    SCORE_VECTOR_MLP_NORM_BIAS,
    SCORE_VECTOR_QKV_BIAS, /* q of all heads, then k, then v */
    SCORE_VECTOR_QUERY_NORM_WEIGHT,
    SCORE_VECTOR_KEY_NORM_WEIGHT,
    SCORE_VECTOR_ATTENTION_OUT_BIAS,
    SCORE_VECTOR_MLP_UP_BIAS, /* of the gate, if there is one, then of what goes up */
    SCORE_VECTOR_MLP_DOWN_BIAS,
    SCORE_VECTOR_ROUTER_BIAS,
    SCORE_VECTOR_COUNT
};

/* Floats of all vectors of a layer, whose tensors are `views` [SCORE_ROLE_COUNT]. */
uint64_t score_vectors_floats(const struct tensor_view *views);

/* Fills `memory`, of so many floats; a vector that the model does not have is NULL. Returns the memory behind
 * it. */
float *score_vectors_fill(const struct score_config *config, const struct score_architecture *architecture,
                          const struct score_kernels *kernels, const struct tensor_view *views, float *memory,
                          const float *ret_vectors[SCORE_VECTOR_COUNT]);

/* What a norm multiplies with, of weights that are stored less 1. */
void score_vectors_add_one(float *weights, size_t count);

#endif
