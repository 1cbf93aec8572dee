/*
 * The instructions of statistics that C++ has no name for. tests/emulation has the same functions in C++
 * (kernels.h).
 */
#ifndef BIFURCATED_GPU_CUDA_STATISTICS_PTX_CUH
#define BIFURCATED_GPU_CUDA_STATISTICS_PTX_CUH

#include <stdint.h>

/* The lower or upper half of a word, a float16, in one instruction. */
static __device__ __forceinline__ double lower_half(uint32_t word)
{
    double value;
    asm("{.reg .b16 low, high; mov.b32 {low, high}, %1; cvt.f64.f16 %0, low;}" : "=d"(value) : "r"(word));
    return value;
}

static __device__ __forceinline__ double upper_half(uint32_t word)
{
    double value;
    asm("{.reg .b16 low, high; mov.b32 {low, high}, %1; cvt.f64.f16 %0, high;}" : "=d"(value) : "r"(word));
    return value;
}

/* Brings what lies at an address of the device into the L2. */
static __device__ __forceinline__ void prefetch(const void *at)
{
    asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
}

#endif
