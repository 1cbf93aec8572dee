/*
 * Kernels over the rows of a batch: conversion, embedding, layer norm, rotation, activation, gathering. All
 * are bound by memory; each reads and writes every element once.
 */
#include "gpu/cuda/score_device.cuh"

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

template <typename From, typename To> __global__ void convert_kernel(const From *from, To *to, uint64_t count)
{
    for (uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; i < count;
         i += (uint64_t)gridDim.x * blockDim.x)
        to[i] = from_float<To>(to_float(from[i]));
}

template <typename T>
__global__ void embed_kernel(const T *table, const uint32_t *ids, uint32_t width, float *hidden)
{
    const T *from = table + (size_t)ids[blockIdx.x] * width;
    float *to = hidden + (size_t)blockIdx.x * width;
    for (uint32_t i = threadIdx.x; i < width; i += blockDim.x)
        to[i] = to_float(from[i]);
}

/* THREADS threads per row. The row is read three times, the last two from the nearest cache. */
template <typename T, int THREADS>
__global__ void norm_kernel(const float *hidden, uint32_t rows, uint32_t width, float epsilon,
                            const score_norm first, const score_norm second)
{
    __shared__ float room[32];
    const uint32_t lane = threadIdx.x % THREADS;
    const uint32_t row = blockIdx.x * (blockDim.x / THREADS) + threadIdx.x / THREADS;
    if (row >= rows)
        return; // guard: whole groups leave, and only groups of one warp have neighbours in their block
    const float *x = hidden + (size_t)row * width;
    float sum = 0;
    for (uint32_t i = lane; i < width; i += THREADS)
        sum += x[i];
    const float mean = group_sum<THREADS>(sum, room) / (float)width;
    sum = 0;
    for (uint32_t i = lane; i < width; i += THREADS)
        sum += (x[i] - mean) * (x[i] - mean);
    const float variance = group_sum<THREADS>(sum, room) / (float)width;
    const float inverse = 1.0F / sqrtf(variance + epsilon);
    T *out = (T *)first.out + (size_t)row * width, *other = (T *)second.out + (size_t)row * width;
    for (uint32_t i = lane; i < width; i += THREADS) {
        const float normed = (x[i] - mean) * inverse;
        out[i] = from_float<T>(normed * first.weight[i] + first.bias[i]);
        if (second.out)
            other[i] = from_float<T>(normed * second.weight[i] + second.bias[i]);
    }
}

template <typename T>
__global__ void rotate_kernel(T *qkv, const score_heads heads, const uint32_t *positions, const float *cosine,
                              const float *sine, uint32_t half)
{
    T *row = qkv + (size_t)blockIdx.x * heads.row_stride;
    const size_t angles = (size_t)positions[blockIdx.x] * half;
    for (uint32_t i = threadIdx.x; i < 2 * heads.head_count * half; i += blockDim.x) {
        const uint32_t j = i % half, head = i / half % heads.head_count, part = i / half / heads.head_count;
        T *first = row + (size_t)head * heads.head_stride + part * heads.key_shift + j,
          *second = first + half;
        const float x = to_float(*first), y = to_float(*second);
        const float c = cosine[angles + j], s = sine[angles + j];
        *first = from_float<T>(x * c - y * s);
        *second = from_float<T>(y * c + x * s);
    }
}

/* The numbers are enum score_activation. */
template <int ACTIVATION> static __device__ __forceinline__ float activation_of(float x)
{
    if (ACTIVATION == 0) /* erfc keeps the relative precision of the left side */
        return 0.5F * x * erfcf(x * -0.70710678F);
    if (ACTIVATION == 1) {
        const float y = 1.5957691216F * (x + 0.044715F * x * x * x);
        return x / (1.0F + expf(-y));
    }
    if (ACTIVATION == 2)
        return x < 0.0F ? 0.0F : x;
    return x / (1.0F + expf(-x));
}

template <typename T, int ACTIVATION> __global__ void activate_kernel(T *x, uint64_t vectors, uint64_t count)
{
    constexpr int n = 16 / sizeof(T);
    union vector {
        uint4 whole;
        T parts[n];
        __device__ vector()
        {
        }
    };
    const uint64_t step = (uint64_t)gridDim.x * blockDim.x,
                   at = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
    for (uint64_t i = at; i < vectors; i += step) {
        vector v;
        v.whole = ((const uint4 *)x)[i];
#pragma unroll
        for (int j = 0; j < n; j++)
            v.parts[j] = from_float<T>(activation_of<ACTIVATION>(to_float(v.parts[j])));
        ((uint4 *)x)[i] = v.whole;
    }
    for (uint64_t i = vectors * n + at; i < count; i += step)
        x[i] = from_float<T>(activation_of<ACTIVATION>(to_float(x[i])));
}

__global__ void gather_kernel(const uint16_t *from, const uint32_t *rows, size_t width, uint16_t *to)
{
    const uint16_t *row = from + (size_t)rows[blockIdx.x] * width;
    for (size_t i = threadIdx.x; i < width; i += blockDim.x)
        to[(size_t)blockIdx.x * width + i] = row[i];
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

/* Blocks that fill any device several times over; loops take the rest. */
static unsigned blocks_for(uint64_t count, unsigned threads)
{
    const uint64_t blocks = (count + threads - 1) / threads;
    return blocks < 65536 ? (blocks ? (unsigned)blocks : 1) : 65536;
}

template <typename From, typename To>
static cudaError_t convert(const void *from, void *to, uint64_t count, cudaStream_t stream)
{
    convert_kernel<From, To><<<blocks_for(count, 256), 256, 0, stream>>>((const From *)from, (To *)to, count);
    return cudaGetLastError();
}

template <typename From>
static cudaError_t convert_from(const void *from, enum score_type to_type, void *to, uint64_t count,
                                cudaStream_t stream)
{
#define CALL(T) convert<From, T>(from, to, count, stream)
    return SCORE_DISPATCH(to_type, CALL);
#undef CALL
}

template <typename T>
static cudaError_t embed(const void *table, const uint32_t *ids, uint32_t rows, uint32_t width, float *hidden,
                         cudaStream_t stream)
{
    const unsigned threads = width < 256 ? 64 : 256;
    embed_kernel<T><<<rows, threads, 0, stream>>>((const T *)table, ids, width, hidden);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t norm(const float *hidden, uint32_t rows, uint32_t width, float epsilon,
                        const score_norm &first, const score_norm &second, cudaStream_t stream)
{
    if (width <= 1024)
        norm_kernel<T, 32><<<(rows + 7) / 8, 256, 0, stream>>>(hidden, rows, width, epsilon, first, second);
    else
        norm_kernel<T, 256><<<rows, 256, 0, stream>>>(hidden, rows, width, epsilon, first, second);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t rotate(void *qkv, const score_heads &heads, const uint32_t *positions, uint32_t rows,
                          const float *cosine, const float *sine, uint32_t half, cudaStream_t stream)
{
    rotate_kernel<T><<<rows, 128, 0, stream>>>((T *)qkv, heads, positions, cosine, sine, half);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t activate(int activation, void *x, uint64_t count, cudaStream_t stream)
{
    const uint64_t vectors = count / (16 / sizeof(T));
    const unsigned blocks = blocks_for(vectors, 256);
    T *at = (T *)x;
    if (activation == 0)
        activate_kernel<T, 0><<<blocks, 256, 0, stream>>>(at, vectors, count);
    else if (activation == 1)
        activate_kernel<T, 1><<<blocks, 256, 0, stream>>>(at, vectors, count);
    else if (activation == 2)
        activate_kernel<T, 2><<<blocks, 256, 0, stream>>>(at, vectors, count);
    else
        activate_kernel<T, 3><<<blocks, 256, 0, stream>>>(at, vectors, count);
    return cudaGetLastError();
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t score_launch_convert(enum score_type from_type, const void *from,
                                            enum score_type to_type, void *to, uint64_t count,
                                            cudaStream_t stream)
{
#define CALL(T) convert_from<T>(from, to_type, to, count, stream)
    return SCORE_DISPATCH(from_type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_embed(enum score_type type, const void *table, const uint32_t *ids,
                                          uint32_t rows, uint32_t width, float *hidden, cudaStream_t stream)
{
#define CALL(T) embed<T>(table, ids, rows, width, hidden, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_norm(enum score_type type, const float *hidden, uint32_t rows,
                                         uint32_t width, float epsilon, const struct score_norm *first,
                                         const struct score_norm *second, cudaStream_t stream)
{
    const score_norm none = {nullptr, nullptr, nullptr};
#define CALL(T) norm<T>(hidden, rows, width, epsilon, *first, second ? *second : none, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_rotate(enum score_type type, void *qkv, const struct score_heads *heads,
                                           const uint32_t *positions, uint32_t rows, const float *cosine,
                                           const float *sine, uint32_t half, cudaStream_t stream)
{
#define CALL(T) rotate<T>(qkv, *heads, positions, rows, cosine, sine, half, stream)
    return half ? SCORE_DISPATCH(type, CALL) : cudaSuccess;
#undef CALL
}

extern "C" cudaError_t score_launch_activate(enum score_type type, int activation, void *x, uint64_t count,
                                             cudaStream_t stream)
{
#define CALL(T) activate<T>(activation, x, count, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_gather(const void *from, const uint32_t *rows, uint32_t count,
                                           size_t row_bytes, void *to, cudaStream_t stream)
{
    gather_kernel<<<count, 256, 0, stream>>>((const uint16_t *)from, rows, row_bytes / 2, (uint16_t *)to);
    return cudaGetLastError();
}
