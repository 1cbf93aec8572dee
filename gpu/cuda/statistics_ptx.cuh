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

/* Memory `rows` rows on, in one instruction. */
static __device__ __forceinline__ const unsigned char *rows_on(const unsigned char *from,
                                                               uint32_t stride_bytes, uint32_t rows)
{
    const unsigned char *at;
    asm("mad.wide.u32 %0, %1, %2, %3;" : "=l"(at) : "r"(stride_bytes), "r"(rows), "l"(from));
    return at;
}

/* The thread's lane, read anew: it need not be kept. */
static __device__ __forceinline__ uint32_t lane_now()
{
    uint32_t lane;
    asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
    return lane;
}

/* Counters in shared memory by their address there, which stays in a register. As an array, its address would
 * be formed again at every use. */
typedef uint32_t shared_counters;

static __device__ __forceinline__ shared_counters shared_counters_at(uint32_t *words)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(words);
    asm volatile("" : "+r"(at));
    return at;
}

static __device__ __forceinline__ void shared_count(shared_counters counters, uint32_t index)
{
    asm volatile("red.shared.add.u32 [%0], 1;" ::"r"(counters + 4 * index));
}

#endif
