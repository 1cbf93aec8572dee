#include "cblas.h"

#define BLOCK 128
#define LANES 16

void openblas_set_num_threads(int count)
{
    (void)count;
}

/* LANES partial sums, so that the compiler may use vectors without reordering a sum. */
static float dot(const float *a, const float *b, int k)
{
    float lanes[LANES] = {0}, sum = 0;
    int p = 0;
    for (; p + LANES <= k; p += LANES)
        for (int i = 0; i < LANES; i++)
            lanes[i] += a[p + i] * b[p + i];
    for (int i = 0; i < LANES; i++)
        sum += lanes[i];
    for (; p < k; p++)
        sum += a[p] * b[p];
    return sum;
}

void cblas_sgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE transpose_a, enum CBLAS_TRANSPOSE transpose_b,
                 int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                 float beta, float *c, int ldc)
{
    (void)order;
    (void)transpose_a;
    for (long i = 0; i < m; i++)
        for (long j = 0; j < n; j++)
            c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
    if (transpose_b == CblasTrans) {
        for (long block = 0; block < n; block += BLOCK)
            for (long i = 0; i < m; i++)
                for (long j = block; j < n && j < block + BLOCK; j++)
                    c[i * ldc + j] += alpha * dot(a + i * lda, b + j * ldb, k);
        return;
    }
    for (long i = 0; i < m; i++)
        for (long p = 0; p < k; p++)
            for (long j = 0; j < n; j++)
                c[i * ldc + j] += alpha * a[i * lda + p] * b[p * ldb + j];
}
