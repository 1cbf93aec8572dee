/*
 * The inner loops of scoring on rows of float32: the same code three times, for vectors of 16 bytes (SSE2,
 * NEON), AVX2 and AVX-512. Sums run over 16 lanes whatever the instruction set, and nothing is fused, so the
 * three agree bit by bit.
 */
#ifndef BIFURCATED_GPU_CPU_SCORE_KERNELS_H
#define BIFURCATED_GPU_CPU_SCORE_KERNELS_H

#include "gpu/cpu/isa.h"
#include "gpu/score.h"
#include "gpu/score_xielu.h"

#include <stddef.h>

/* A running log-sum-exp: the sum of exp(x - largest), and the largest. */
struct score_log_sum {
    float largest; /* -Inf before the first value */
    double sum;
};

struct score_kernels {
    /* out = (x - mean) / sqrt(variance + epsilon) * weight + bias; out may be x. */
    void (*layer_norm)(const float *x, size_t count, const float *weight, const float *bias, double epsilon,
                       float *out);
    /* out = x / sqrt(mean of x^2 + epsilon) * weight; out may be x. */
    void (*rms_norm)(const float *x, size_t count, const float *weight, double epsilon, float *out);
    /* x += bias. */
    void (*add)(float *x, const float *bias, size_t count);
    /* x = activation(x + bias), of those without numbers of their own; bias may be NULL. The absolute error
     * of an activation is below 2e-7 * max(1, |x|), of a square below 2e-7 times itself. */
    void (*activate)(enum score_activation activation, float *x, const float *bias, size_t count);
    /* x = xIELU(x), with the same error. */
    void (*xielu)(const struct score_xielu *numbers, float *x, size_t count);
    /* gate = activation(gate) * up. */
    void (*gate)(enum score_activation activation, float *gate, const float *up, size_t count);
    /* x = exp(x * scale - max) / sum, in place. */
    void (*softmax)(float *x, size_t count, float scale);
    /* Adds the values to the log-sum. NaN makes the sum NaN. */
    void (*log_sum)(const float *x, size_t count, struct score_log_sum *log_sum);
    /* Elements to float32; data at any alignment. F16, BF16 or F32. */
    void (*convert)(enum tensor_dtype dtype, const void *data, size_t count, float *out);
};

/* The instruction set must be at most the processor's. */
const struct score_kernels *score_kernels_of(enum cpu_isa isa);

extern const struct score_kernels score_kernels_portable;
#if defined(__x86_64__)
extern const struct score_kernels score_kernels_avx2;
extern const struct score_kernels score_kernels_avx512;
#endif

#endif
