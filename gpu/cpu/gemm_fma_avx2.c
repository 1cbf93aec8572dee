#include "gpu/cpu/gemm_fma.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define TARGET __attribute__((target("avx2,fma")))
#define PANEL gemm_fma_panel_avx2
#define VECTOR __m256
#define FACTOR __m256
#define LANES 8U
#define ROWS 6U /* 12 registers of 16 */
#define REST_ROWS 2U
#define ZERO() _mm256_setzero_ps()
#define LOAD(at) _mm256_loadu_ps(at)
#define STORE(at, x) _mm256_storeu_ps(at, x)
#define ALL(value) _mm256_set1_ps(value)
#define ADD(x, y) _mm256_add_ps(x, y)
#define FMA(x, y, z) _mm256_fmadd_ps(x, y, z)
#include "gpu/cpu/gemm_fma_body.h"
#endif
