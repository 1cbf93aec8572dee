/*
 * Matrix products with cuBLASLt: out = factor x W^T (+ bias, + activation, + out), W as stored with one row
 * per output, or out = x W, with one per input: either is read where it lies. Products of 16-bit types are
 * summed in float32, those of float32 are true float32 (no TF32).
 *
 * Which algorithm is best is asked once for each shape, with the rows rounded up (gemm_rows_asked), and kept
 * with the device: the next model has the same shapes. What is chosen follows from the product alone, so
 * results do not depend on what was computed before.
 *
 * Where cuBLASLt refuses a product (its heuristic, or the product itself), it is asked for the same without
 * the epilogue, which kernels of ours do then; where it refuses that, too, score_product.cu multiplies, in
 * float32 arithmetic: 16-bit products take twenty times as long then, or more (counted, not measured).
 * Results of 16-bit types are rounded once more for the bias, and for the activation.
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_GEMM_H
#define BIFURCATED_GPU_CUDA_SCORE_GEMM_H

#include "gpu/cuda/device.h"
#include "gpu/cuda/score_kernels.h"
#include "gpu/score.h"

struct gemm_plans;

struct gemm {
    struct cuda_device *device;
    enum score_type type;
    struct gemm_plans *plans;    /* the device's */
    char slow[SCORE_SLOW_BYTES]; /* score_result.slow, of all products so far */
};

enum gemm_epilogue {
    GEMM_EPILOGUE_NONE,
    GEMM_EPILOGUE_BIAS,
    GEMM_EPILOGUE_BIAS_RELU,
    GEMM_EPILOGUE_BIAS_GELU_TANH /* cuBLASLt's GELU is the tanh approximation */
};

struct gemm_product {
    const void *weights; /* [outputs, inputs]; [inputs, outputs] if is_transposed */
    const void *x;       /* [rows, inputs] */
    void *out;           /* [rows, outputs]; float32 if is_wide or is_sum, else as x */
    const void *bias;    /* [outputs], of the type of out */
    uint64_t outputs, inputs, rows;
    uint64_t weights_stride, x_stride, out_stride; /* elements from row to row; 0: no gaps */
    enum gemm_epilogue epilogue;
    int is_wide; /* out is float32 */
    int is_sum;  /* adds to out, which is float32: the residual stream */
    int is_transposed;
    float factor; /* of the product, without the bias; 0: 1 */
};

int gemm_init(struct gemm *gemm, struct cuda_device *device, enum score_type type, struct err *err);
void gemm_done(struct gemm *gemm); /* zeroed ones are allowed; the device keeps the plans */

/* The rows that an algorithm is asked for: at most an eighth more than there are, or seven. */
uint64_t gemm_rows_asked(uint64_t rows);

/* On the device's stream. No rows: nothing happens. */
int gemm_run(struct gemm *gemm, const struct gemm_product *product, struct err *err);

#endif
