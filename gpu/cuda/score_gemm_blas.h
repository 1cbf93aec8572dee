/*
 * A product by cuBLASLt, if it has an algorithm for it: which one, is kept in plans.
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_GEMM_BLAS_H
#define BIFURCATED_GPU_CUDA_SCORE_GEMM_BLAS_H

#include "gpu/cuda/score_gemm.h"

/* NULL: no memory. Freed on the host alone. */
struct gemm_plans *gemm_plans_new(void);
void gemm_plans_free(void *plans);

/* The type of a product's `out`. */
static inline enum score_type gemm_out_type(const struct gemm *gemm, const struct gemm_product *product)
{
    return product->is_wide || product->is_sum ? SCORE_TYPE_F32 : gemm->type;
}

/* Of a product whose strides are all given. *ret_is_refused: cuBLASLt does not do it, and has done nothing.
 */
int gemm_blas_run(struct gemm *gemm, const struct gemm_product *product, int *ret_is_refused,
                  struct err *err);

#endif
