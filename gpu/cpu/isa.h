/*
 * Which vector instructions this processor has, for dispatch at run time. Results never depend on it.
 * Each is better than the one before; those of other kinds of processors have no name here.
 */
#ifndef BIFURCATED_GPU_CPU_ISA_H
#define BIFURCATED_GPU_CPU_ISA_H

enum cpu_isa {
    CPU_ISA_PORTABLE, /* plain C */
#if defined(__x86_64__)
    CPU_ISA_AVX2,   /* AVX2, F16C */
    CPU_ISA_AVX512, /* AVX-512 F, BW, VL, DQ */
#elif defined(__aarch64__)
    CPU_ISA_NEON, /* every one has it */
#endif
    CPU_ISA_COUNT
};

/* The best one that the processor and the system support. */
enum cpu_isa cpu_isa_best(void);

/* "portable", "avx2", "avx512", "neon". */
const char *cpu_isa_name(enum cpu_isa isa);

#endif
