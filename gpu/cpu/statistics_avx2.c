#include "gpu/cpu/statistics_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx,avx2,f16c")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define KERNELS statistics_kernels_avx2

typedef __m256 floats;
typedef __m256d doubles;

INLINE floats load_floats(enum tensor_dtype dtype, const unsigned char *at)
{
    if (dtype == TENSOR_DTYPE_F32)
        return _mm256_castsi256_ps(_mm256_loadu_si256((const void *)at));
    __m128i halves = _mm_loadu_si128((const void *)at);
    if (dtype == TENSOR_DTYPE_F16)
        return _mm256_cvtph_ps(halves);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

INLINE doubles lower(floats x)
{
    return _mm256_cvtps_pd(_mm256_castps256_ps128(x));
}

INLINE doubles upper(floats x)
{
    return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
}

INLINE void store_halves(uint16_t *codes, floats x)
{
    _mm_storeu_si128((void *)codes, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

#include "gpu/cpu/statistics_body.h"

#endif
