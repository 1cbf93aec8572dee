#include "gpu/cpu/score_kernels.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx,avx2,f16c")))
#define VECTOR_BYTES 32U
#define KERNELS score_kernels_avx2
#include "gpu/cpu/score_kernels_body.h"
#endif
