#include "gpu/cpu/gemm_fma.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#define TARGET
#define PANEL gemm_fma_panel_neon
#define VECTOR float32x4_t
#define FACTOR float /* one instruction multiplies with it and adds */
#define LANES 4U
/* 16 registers of 32: elements of A, which are loaded ahead, take as many as there are rows */
#define ROWS 8U
#define REST_ROWS 4U
#define ZERO() vdupq_n_f32(0)
#define LOAD(at) vld1q_f32(at)
#define STORE(at, x) vst1q_f32(at, x)
#define ALL(value) (value)
#define ADD(x, y) vaddq_f32(x, y)
#define FMA(x, y, z) vfmaq_n_f32(z, y, x)
#include "gpu/cpu/gemm_fma_body.h"
#endif
