#include "gpu/cpu/score_kernels.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx,avx2,f16c,avx512f,avx512bw,avx512vl,avx512dq")))
#define VECTOR_BYTES 64U
#define KERNELS score_kernels_avx512
#include "gpu/cpu/score_kernels_body.h"
#endif
