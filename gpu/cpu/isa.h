/*
 * Which vector instructions this processor has, for dispatch at run time. Results never depend on it.
 */
#ifndef BIFURCATED_GPU_CPU_ISA_H
#define BIFURCATED_GPU_CPU_ISA_H

enum cpu_isa {
    CPU_ISA_PORTABLE, /* plain C */
    CPU_ISA_AVX2,     /* AVX2, F16C */
    CPU_ISA_AVX512,   /* AVX-512 F, BW, VL, DQ */
    CPU_ISA_COUNT
};

/* The best one that the processor and the system support. */
enum cpu_isa cpu_isa_best(void);

/* "portable", "avx2", "avx512". */
const char *cpu_isa_name(enum cpu_isa isa);

#endif
