#include "gpu/cpu/gemm_fma.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define TARGET __attribute__((target("avx512f,fma")))
#define PANEL gemm_fma_panel_avx512
#define VECTOR __m512
#define FACTOR __m512
#define LANES 16U
#define ROWS 14U /* 28 registers of 32 */
#define REST_ROWS 4U
#define ZERO() _mm512_setzero_ps()
#define LOAD(at) _mm512_loadu_ps(at)
#define STORE(at, x) _mm512_storeu_ps(at, x)
#define ALL(value) _mm512_set1_ps(value)
#define ADD(x, y) _mm512_add_ps(x, y)
#define FMA(x, y, z) _mm512_fmadd_ps(x, y, z)
#include "gpu/cpu/gemm_fma_body.h"
#endif
