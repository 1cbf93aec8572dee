#include "gpu/cpu/isa.h"

enum cpu_isa cpu_isa_best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    /* Every processor with AVX2 has F16C; clang 14 cannot ask for the latter. */
    if (__builtin_cpu_supports("avx2")) {
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
            return CPU_ISA_AVX512;
        return CPU_ISA_AVX2;
    }
    return CPU_ISA_PORTABLE;
#else
    return (enum cpu_isa)(CPU_ISA_COUNT - 1);
#endif
}

const char *cpu_isa_name(enum cpu_isa isa)
{
    static const char *const names[CPU_ISA_COUNT] = {
        [CPU_ISA_PORTABLE] = "portable",
#if defined(__x86_64__)
        [CPU_ISA_AVX2] = "avx2",
        [CPU_ISA_AVX512] = "avx512",
#elif defined(__aarch64__)
        [CPU_ISA_NEON] = "neon",
#endif
    };
    return (unsigned)isa < CPU_ISA_COUNT ? names[isa] : "unknown";
}
