/* The two functions of OpenBLAS that the CPU backend calls, for machines without it: for tests, not for
 * speed. */
#ifndef BIFURCATED_TESTS_GPU_CBLAS_H
#define BIFURCATED_TESTS_GPU_CBLAS_H

enum CBLAS_ORDER { CblasRowMajor = 101 };
enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112 };

void openblas_set_num_threads(int count);

/* c = alpha a op(b) + beta c, a not transposed. */
void cblas_sgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE transpose_a, enum CBLAS_TRANSPOSE transpose_b,
                 int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                 float beta, float *c, int ldc);

#endif
