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
#endif
    return CPU_ISA_PORTABLE;
}

const char *cpu_isa_name(enum cpu_isa isa)
{
    static const char *const names[CPU_ISA_COUNT] = {"portable", "avx2", "avx512"};
    return (unsigned)isa < CPU_ISA_COUNT ? names[isa] : "unknown";
}
