/*
 * Matrix products with cuBLASLt: out = x W^T (+ bias, + activation, + out), W as stored with one row per
 * output. Products of 16-bit types are summed in float32, those of float32 are true float32 (no TF32).
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_GEMM_H
#define BIFURCATED_GPU_CUDA_SCORE_GEMM_H

#include "gpu/cuda/device.h"
#include "gpu/cuda/score_kernels.h"

#define GEMM_PLANS_MAX 64

struct gemm_plan; /* a shape with its chosen algorithm */

struct gemm {
    struct cuda_device *device;
    enum score_type type;
    size_t plan_count, plan_oldest;
    struct gemm_plan *plans; /* [GEMM_PLANS_MAX] */
};

enum gemm_epilogue {
    GEMM_EPILOGUE_NONE,
    GEMM_EPILOGUE_BIAS,
    GEMM_EPILOGUE_BIAS_RELU,
    GEMM_EPILOGUE_BIAS_GELU_TANH /* cuBLASLt's GELU is the tanh approximation */
};

struct gemm_product {
    const void *weights; /* [outputs, inputs] */
    const void *x;       /* [rows, inputs] */
    void *out;           /* [rows, outputs]; float32 if is_wide or is_sum, else as x */
    const void *bias;    /* [outputs], of the type of out */
    uint64_t outputs, inputs, rows;
    enum gemm_epilogue epilogue;
    int is_wide; /* out is float32 */
    int is_sum;  /* adds to out, which is float32: the residual stream */
};

int gemm_init(struct gemm *gemm, struct cuda_device *device, enum score_type type, struct err *err);
void gemm_done(struct gemm *gemm); /* zeroed ones are allowed */

/* On the device's stream. No rows: nothing happens. */
int gemm_run(struct gemm *gemm, const struct gemm_product *product, struct err *err);

#endif
