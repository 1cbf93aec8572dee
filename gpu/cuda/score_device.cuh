/*
 * What the kernels of scoring share: the element types, and sums over warps and blocks in a fixed order.
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_DEVICE_CUH
#define BIFURCATED_GPU_CUDA_SCORE_DEVICE_CUH

#include "gpu/cuda/score_kernels.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define ROW_THREADS 256 /* of a block of the kernels over rows */

/* Elements that are read and written together. */
template <typename T, int V> struct alignas(sizeof(T) * V) vector_of {
    T at[V];
};

static __device__ __forceinline__ float to_float(float x)
{
    return x;
}

static __device__ __forceinline__ float to_float(__half x)
{
    return __half2float(x);
}

static __device__ __forceinline__ float to_float(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}

template <typename T> static __device__ __forceinline__ T from_float(float x);

template <> __device__ __forceinline__ float from_float<float>(float x)
{
    return x;
}

template <> __device__ __forceinline__ __half from_float<__half>(float x)
{
    return __float2half_rn(x);
}

template <> __device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float x)
{
    return __float2bfloat16_rn(x);
}

/* Whether an element may be infinite in the place of a number that float32 holds. A key of that kind gives
 * scores of -Inf, of which a softmax would make a weight of 0: they have to end as NaN. */
template <typename T> constexpr bool overflows = false;
template <> inline constexpr bool overflows<__half> = true;

/* Calls `call<T>` for the element type. */
#define SCORE_DISPATCH(type, call)                                                                           \
    ((type) == SCORE_TYPE_F16 ? call(__half) : (type) == SCORE_TYPE_BF16 ? call(__nv_bfloat16) : call(float))

/* The first key that the query of `row` sees. */
static __device__ __forceinline__ uint32_t window_begin(uint32_t document, uint32_t row, uint32_t window)
{
    return row >= document + window ? row + 1 - window : document;
}

static __device__ __forceinline__ float warp_sum(float x)
{
    for (int step = 16; step > 0; step /= 2)
        x += __shfl_xor_sync(0xffffffffU, x, step);
    return x;
}

/* The sum over THREADS threads of a block (a power of two, at least 32), known to all; `room` holds 32
 * values. Groups of 32 threads need no room and no barrier. */
template <int THREADS> static __device__ __forceinline__ float group_sum(float x, float *room)
{
    x = warp_sum(x);
    if (THREADS == 32)
        return x;
    __syncthreads();
    if (threadIdx.x % 32 == 0)
        room[threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < THREADS / 32; i++)
        sum += room[i];
    return sum;
}

/* How many blocks take `count` things, `per_block` each. */
static inline unsigned blocks_for(uint64_t count, unsigned per_block)
{
    return (unsigned)((count + per_block - 1) / per_block);
}

#endif
