/*
 * The names that kernels use, on fibers (emulation.h). First in a translated .cu.
 */
#ifndef BIFURCATED_TESTS_EMULATION_KERNELS_H
#define BIFURCATED_TESTS_EMULATION_KERNELS_H

#include "gpu/cuda/score_kernels.h"
#include "gpu/cuda/statistics_kernels.h"
#include "tests/emulation/runtime.h"

#include <algorithm>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#include <vector_functions.h>

/* What to inline is left to the compiler: with sanitizers, a kernel of one piece takes it minutes. */
#undef __forceinline__
#define __forceinline__ inline

#define threadIdx emulation::thread
#define blockIdx emulation::block
#define blockDim emulation::threads
#define gridDim emulation::grid
#undef __shared__
#define __shared__ static /* blocks run one after the other */
#undef __launch_bounds__
#define __launch_bounds__(...)

using std::isfinite;
using std::isnan;
using std::min;

/* -- Structs that kernels get by value -- */

namespace emulation
{

template <> struct pointers<score_norm> {
    static void check(const score_norm &norm, int ordinal)
    {
        for (const void *one : {(const void *)norm.weight, (const void *)norm.bias, (const void *)norm.out})
            check_argument(one, ordinal);
    }
};

template <> struct pointers<score_product> {
    static void check(const score_product &product, int ordinal)
    {
        for (const void *one : {product.weights, product.x, (const void *)product.out})
            check_argument(one, ordinal);
    }
};

template <> struct pointers<statistics_first> {
    static void check(const statistics_first &pass, int ordinal)
    {
        for (const void *one : {pass.data, (const void *)pass.sums, (const void *)pass.not_finite,
                                (const void *)pass.counts, (const void *)pass.seen})
            check_argument(one, ordinal);
    }
};

template <> struct pointers<statistics_second> {
    static void check(const statistics_second &pass, int ordinal)
    {
        for (const void *one : {pass.data, pass.references[0], pass.references[1], (const void *)pass.means,
                                (const void *)pass.centres, (const void *)pass.sums,
                                (const void *)pass.counts, (const void *)pass.partials})
            check_argument(one, ordinal);
    }
};

template <> struct pointers<statistics_pairs> {
    static void check(const statistics_pairs &pass, int ordinal)
    {
        for (const void *one : {pass.data, pass.reference, (const void *)pass.partials})
            check_argument(one, ordinal);
    }
};

} // namespace emulation

/* What a kernel never gets to. */
[[noreturn]] inline void __trap()
{
    emulation::fail("a kernel that the device has no code for");
}

/* -- Barriers and exchanges -- */

inline void __syncthreads()
{
    emulation::wait(emulation::state::at_block);
}

inline void __syncwarp()
{
    emulation::wait(emulation::state::at_warp);
}

/* The kernels' warps meet whole. Threads that a mask leaves out would meet all the same here. */
inline void check_mask(unsigned mask)
{
    if (mask != ~0U)
        emulation::fail("an exchange of a part of a warp");
}

template <typename T> T __shfl_xor_sync(unsigned mask, T value, int step)
{
    check_mask(mask);
    return emulation::exchange(value, emulation::current ^ (unsigned)step);
}

template <typename T> T __shfl_sync(unsigned mask, T value, int from)
{
    check_mask(mask);
    return emulation::exchange(value, (unsigned)from);
}

/* A lane that has no lane so far below it keeps its own. */
template <typename T> T __shfl_down_sync(unsigned mask, T value, unsigned step)
{
    check_mask(mask);
    const unsigned lane = emulation::current % emulation::warp_size;
    return emulation::exchange(value, lane + step < emulation::warp_size ? lane + step : lane);
}

/* A bit for each lane. */
inline unsigned __ballot_sync(unsigned mask, bool value)
{
    check_mask(mask);
    const auto all = emulation::share(value);
    unsigned bits = 0;
    for (unsigned i = 0; i < emulation::warp_size; i++)
        bits |= (unsigned)all[i] << i;
    return bits;
}

inline unsigned __reduce_min_sync(unsigned mask, unsigned value)
{
    check_mask(mask);
    const auto all = emulation::share(value);
    for (unsigned i = 0; i < emulation::warp_size; i++)
        value = std::min(value, all[i]);
    return value;
}

inline unsigned __reduce_max_sync(unsigned mask, unsigned value)
{
    check_mask(mask);
    const auto all = emulation::share(value);
    for (unsigned i = 0; i < emulation::warp_size; i++)
        value = std::max(value, all[i]);
    return value;
}

/* -- Atomic operations: a fiber is not interrupted -- */

template <typename T> T atomicAdd(T *at, T add)
{
    const T before = *at;
    *at += add;
    return before;
}

template <typename T> T atomicSub(T *at, T less)
{
    const T before = *at;
    *at -= less;
    return before;
}

template <typename T> T atomicMin(T *at, T value)
{
    const T before = *at;
    *at = std::min(before, value);
    return before;
}

template <typename T> T atomicMax(T *at, T value)
{
    const T before = *at;
    *at = std::max(before, value);
    return before;
}

/* -- Loads, bits and roundings -- */

template <typename T> T __ldg(const T *from)
{
    if ((uintptr_t)from % sizeof(T))
        emulation::fail("a vector load is not aligned");
    return *from;
}

inline float __int_as_float(int bits)
{
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
}

inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
}

inline int __popc(unsigned bits)
{
    return __builtin_popcount(bits);
}

inline float __uint_as_float(unsigned bits)
{
    return __int_as_float((int)bits);
}

/* Those of gpu/cuda/statistics_ptx.cuh, which is left out. */
#define BIFURCATED_GPU_CUDA_STATISTICS_PTX_CUH

inline double lower_half(uint32_t word)
{
    return (double)__half2float(__ushort_as_half((unsigned short)word));
}

inline double upper_half(uint32_t word)
{
    return lower_half(word >> 16);
}

inline uint32_t lane_now()
{
    return emulation::current % emulation::warp_size;
}

typedef uint32_t *shared_counters;

inline shared_counters shared_counters_at(uint32_t *words)
{
    return words;
}

inline void shared_count(shared_counters counters, uint32_t index)
{
    counters[index]++;
}

inline const unsigned char *rows_on(const unsigned char *from, uint32_t stride_bytes, uint32_t rows)
{
    return from + (uint64_t)stride_bytes * rows;
}

inline void prefetch(const void *at)
{
    (void)*(const volatile char *)at; /* is there such memory? */
}

/* Compiled without contraction, so each rounds once. */
inline double __dadd_rn(double a, double b)
{
    return a + b;
}

inline double __dsub_rn(double a, double b)
{
    return a - b;
}

inline float __fadd_rn(float a, float b)
{
    return a + b;
}

inline float __fsub_rn(float a, float b)
{
    return a - b;
}

inline float __fmul_rn(float a, float b)
{
    return a * b;
}

inline float __fdividef(float a, float b)
{
    return a / b;
}

template <typename... P>
cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute attribute, int value)
{
    return cudaFuncSetAttribute((const void *)kernel, attribute, value);
}

#endif
