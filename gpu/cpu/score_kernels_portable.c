#define TARGET
#define VECTOR_BYTES 16U /* SSE2, NEON */
#define KERNELS score_kernels_portable
#include "gpu/cpu/score_kernels_body.h"

const struct score_kernels *score_kernels_of(enum cpu_isa isa)
{
#if defined(__x86_64__)
    if (isa == CPU_ISA_AVX512)
        return &score_kernels_avx512;
    if (isa == CPU_ISA_AVX2)
        return &score_kernels_avx2;
#endif
    (void)isa;
    return &score_kernels_portable;
}
