#include "gpu/cpu/statistics_kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <string.h>

#define TARGET
#define INLINE static inline __attribute__((always_inline))
#define KERNELS statistics_kernels_neon

typedef float32x4_t floats;
typedef float64x2_t doubles;

INLINE floats load_floats(enum tensor_dtype dtype, const unsigned char *at)
{
    if (dtype == TENSOR_DTYPE_F32)
        return vreinterpretq_f32_u8(vld1q_u8(at));
    const uint8x8_t halves = vld1_u8(at);
    if (dtype == TENSOR_DTYPE_F16)
        return vcvt_f32_f16(vreinterpret_f16_u8(halves));
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(halves), 16));
}

INLINE doubles lower(floats x)
{
    return vcvt_f64_f32(vget_low_f32(x));
}

INLINE doubles upper(floats x)
{
    return vcvt_high_f64_f32(x);
}

INLINE void store_halves(uint16_t *codes, floats x)
{
    vst1_u16(codes, vreinterpret_u16_f16(vcvt_f16_f32(x)));
}

#include "gpu/cpu/statistics_body.h"

#endif
