/*
 * Kernels over the rows of a batch: conversion, embedding and its multiplier, layer norm, rotation,
 * gathering. All are bound by memory: each reads and writes every element once, in vectors where the width is
 * a multiple of one.
 */
#include "gpu/cuda/score_device.cuh"

#define ROW_WARPS (ROW_THREADS / 32)

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* V elements at once: a divisor of width and stride. */
template <typename From, typename To, int V>
__global__ void convert_kernel(const From *from, To *to, uint64_t rows, uint64_t width, uint64_t stride)
{
    for (uint64_t row = blockIdx.x; row < rows; row += gridDim.x)
        for (uint64_t i = threadIdx.x; i < width / V; i += ROW_THREADS) {
            const auto in = ((const vector_of<From, V> *)(from + row * width))[i];
            vector_of<To, V> out;
#pragma unroll
            for (int j = 0; j < V; j++)
                out.at[j] = from_float<To>(to_float(in.at[j]));
            ((vector_of<To, V> *)(to + row * stride))[i] = out;
        }
}

/* A warp per row, V elements at once; IS_SUM: added to what is there. */
template <typename T, int V, bool IS_SUM>
__global__ void embed_kernel(const T *__restrict__ table, const uint32_t *ids, uint32_t rows, uint32_t width,
                             float *__restrict__ hidden)
{
    const uint32_t row = blockIdx.x * ROW_WARPS + threadIdx.x / 32;
    if (row >= rows)
        return; // guard
    const auto *from = (const vector_of<T, V> *)(table + (size_t)ids[row] * width);
    auto *to = (vector_of<float, V> *)(hidden + (size_t)row * width);
#pragma unroll 4
    for (uint32_t i = threadIdx.x % 32; i < width / V; i += 32) {
        const vector_of<T, V> in = from[i];
        vector_of<float, V> out;
        if (IS_SUM)
            out = to[i];
#pragma unroll
        for (int j = 0; j < V; j++)
            out.at[j] = IS_SUM ? out.at[j] + to_float(in.at[j]) : to_float(in.at[j]);
        to[i] = out;
    }
}

__global__ void scale_kernel(float *x, uint64_t count, float factor)
{
    const uint64_t i = (uint64_t)blockIdx.x * ROW_THREADS + threadIdx.x;
    if (i < count)
        x[i] *= factor;
}

template <typename T>
static __device__ __forceinline__ void norm_store(const score_norm &norm, uint32_t width, uint32_t row,
                                                  uint32_t i, const float4 &x)
{
    const float4 w = __ldg((const float4 *)norm.weight + i), b = __ldg((const float4 *)norm.bias + i);
    const vector_of<T, 4> out = {{from_float<T>(x.x * w.x + b.x), from_float<T>(x.y * w.y + b.y),
                                  from_float<T>(x.z * w.z + b.z), from_float<T>(x.w * w.w + b.w)}};
    ((vector_of<T, 4> *)((T *)norm.out + (size_t)row * width))[i] = out;
}

/* GROUP threads per row keep it in registers: its width is a multiple of 4 and at most 4 * GROUP * COUNT. */
template <typename T, int GROUP, int COUNT>
__global__ void norm_kernel(const float *hidden, uint32_t rows, uint32_t width, float epsilon,
                            const score_norm first, const score_norm second)
{
    __shared__ float room[32];
    const uint32_t lane = threadIdx.x % GROUP, vectors = width / 4;
    const uint32_t row = blockIdx.x * (blockDim.x / GROUP) + threadIdx.x / GROUP;
    if (row >= rows)
        return; // guard: whole groups leave, and only groups of one warp have neighbours in their block
    const float4 *from = (const float4 *)(hidden + (size_t)row * width);
    float4 x[COUNT];
    float sum = 0;
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        x[k] = lane + k * GROUP < vectors ? from[lane + k * GROUP] : make_float4(0, 0, 0, 0);
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        sum += (x[k].x + x[k].y) + (x[k].z + x[k].w);
    const float mean = group_sum<GROUP>(sum, room) / (float)width;
    sum = 0;
#pragma unroll
    for (int k = 0; k < COUNT; k++) {
        x[k] = make_float4(x[k].x - mean, x[k].y - mean, x[k].z - mean, x[k].w - mean);
        if (lane + k * GROUP < vectors)
            sum += (x[k].x * x[k].x + x[k].y * x[k].y) + (x[k].z * x[k].z + x[k].w * x[k].w);
    }
    const float variance = group_sum<GROUP>(sum, room) / (float)width;
    const float inverse = 1.0F / sqrtf(variance + epsilon);
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        if (lane + k * GROUP < vectors) {
            const float4 normed =
                make_float4(x[k].x * inverse, x[k].y * inverse, x[k].z * inverse, x[k].w * inverse);
            norm_store<T>(first, width, row, lane + k * GROUP, normed);
            if (second.out)
                norm_store<T>(second, width, row, lane + k * GROUP, normed);
        }
}

/* Any width: a block per row, which is read three times, the last two from the nearest cache. */
template <typename T>
__global__ void norm_any_kernel(const float *hidden, uint32_t width, float epsilon, const score_norm first,
                                const score_norm second)
{
    __shared__ float room[32];
    const float *x = hidden + (size_t)blockIdx.x * width;
    float sum = 0;
    for (uint32_t i = threadIdx.x; i < width; i += ROW_THREADS)
        sum += x[i];
    const float mean = group_sum<ROW_THREADS>(sum, room) / (float)width;
    sum = 0;
    for (uint32_t i = threadIdx.x; i < width; i += ROW_THREADS)
        sum += (x[i] - mean) * (x[i] - mean);
    const float variance = group_sum<ROW_THREADS>(sum, room) / (float)width;
    const float inverse = 1.0F / sqrtf(variance + epsilon);
    T *out = (T *)first.out + (size_t)blockIdx.x * width,
      *other = (T *)second.out + (size_t)blockIdx.x * width;
    for (uint32_t i = threadIdx.x; i < width; i += ROW_THREADS) {
        const float normed = (x[i] - mean) * inverse;
        out[i] = from_float<T>(normed * first.weight[i] + first.bias[i]);
        if (second.out)
            other[i] = from_float<T>(normed * second.weight[i] + second.bias[i]);
    }
}

/* V pairs at once; V divides half, and all places within a row. */
template <typename T, int V, bool IS_GROUPED>
__global__ void rotate_kernel(T *qkv, const score_heads heads, const uint32_t *positions, uint32_t rows,
                              uint32_t rows_per_block, const float *cosine, const float *sine, uint32_t half,
                              uint32_t group)
{
    const uint32_t all_heads =
        IS_GROUPED ? heads.head_count + heads.head_count / group : 2 * heads.head_count;
    const uint32_t per_head = half / V, per_row = all_heads * per_head;
    const uint32_t first_row = blockIdx.x * rows_per_block, count = min(rows_per_block, rows - first_row);
    for (uint32_t i = threadIdx.x; i < count * per_row; i += ROW_THREADS) {
        const uint32_t row = first_row + i / per_row, place = i % per_row / per_head, j = i % per_head * V;
        const uint32_t head = place % heads.head_count, part = place / heads.head_count;
        auto *first = (vector_of<T, V> *)(qkv + (size_t)row * heads.row_stride +
                                          (size_t)head * heads.head_stride + part * heads.key_shift + j),
             *second = first + per_head;
        const size_t angles = (size_t)positions[row] * half + j;
        const auto c = *(const vector_of<float, V> *)(cosine + angles),
                   s = *(const vector_of<float, V> *)(sine + angles);
        vector_of<T, V> x = *first, y = *second;
#pragma unroll
        for (int k = 0; k < V; k++) {
            const float from = to_float(x.at[k]), to = to_float(y.at[k]);
            x.at[k] = from_float<T>(from * c.at[k] - to * s.at[k]);
            y.at[k] = from_float<T>(to * c.at[k] + from * s.at[k]);
        }
        *first = x;
        *second = y;
    }
}

/* A warp per row of `width` pieces. */
template <typename Piece>
__global__ void gather_kernel(const Piece *__restrict__ from, const uint32_t *rows, uint32_t count,
                              size_t width, Piece *__restrict__ to)
{
    const uint32_t row = blockIdx.x * ROW_WARPS + threadIdx.x / 32;
    if (row >= count)
        return; // guard
    from += (size_t)rows[row] * width;
    to += (size_t)row * width;
#pragma unroll 4
    for (size_t i = threadIdx.x % 32; i < width; i += 32)
        to[i] = from[i];
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

template <typename From, typename To>
static cudaError_t convert(const void *from, void *to, uint64_t rows, uint64_t width, uint64_t stride,
                           cudaStream_t stream)
{
    const unsigned blocks = rows < 65536 ? (unsigned)rows : 65536;
    if (width % 4 == 0 && stride % 4 == 0)
        convert_kernel<From, To, 4>
            <<<blocks, ROW_THREADS, 0, stream>>>((const From *)from, (To *)to, rows, width, stride);
    else
        convert_kernel<From, To, 1>
            <<<blocks, ROW_THREADS, 0, stream>>>((const From *)from, (To *)to, rows, width, stride);
    return cudaGetLastError();
}

template <typename From>
static cudaError_t convert_from(const void *from, enum score_type to_type, void *to, uint64_t rows,
                                uint64_t width, uint64_t stride, cudaStream_t stream)
{
#define CALL(T) convert<From, T>(from, to, rows, width, stride, stream)
    return SCORE_DISPATCH(to_type, CALL);
#undef CALL
}

template <typename T, bool IS_SUM>
static cudaError_t embed(const void *table, const uint32_t *ids, uint32_t rows, uint32_t width, float *hidden,
                         cudaStream_t stream)
{
    const unsigned blocks = blocks_for(rows, ROW_WARPS);
    if (width % 4 == 0)
        embed_kernel<T, 4, IS_SUM>
            <<<blocks, ROW_THREADS, 0, stream>>>((const T *)table, ids, rows, width, hidden);
    else
        embed_kernel<T, 1, IS_SUM>
            <<<blocks, ROW_THREADS, 0, stream>>>((const T *)table, ids, rows, width, hidden);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t norm(const float *hidden, uint32_t rows, uint32_t width, float epsilon,
                        const score_norm &first, const score_norm &second, cudaStream_t stream)
{
    const unsigned blocks = blocks_for(rows, ROW_WARPS);
    if (width % 4 == 0 && width <= 4 * 32 * 4)
        norm_kernel<T, 32, 4>
            <<<blocks, ROW_THREADS, 0, stream>>>(hidden, rows, width, epsilon, first, second);
    else if (width % 4 == 0 && width <= 4 * 32 * 16)
        norm_kernel<T, 32, 16>
            <<<blocks, ROW_THREADS, 0, stream>>>(hidden, rows, width, epsilon, first, second);
    else if (width % 4 == 0 && width <= 4 * ROW_THREADS * 8)
        norm_kernel<T, ROW_THREADS, 8>
            <<<rows, ROW_THREADS, 0, stream>>>(hidden, rows, width, epsilon, first, second);
    else
        norm_any_kernel<T><<<rows, ROW_THREADS, 0, stream>>>(hidden, width, epsilon, first, second);
    return cudaGetLastError();
}

template <typename T, int V>
static cudaError_t rotate_by(const score_rotation &how, void *qkv, cudaStream_t stream)
{
    const uint32_t per_row = (how.heads.head_count + how.heads.head_count / how.group) * how.half / V;
    const uint32_t rows_per_block = per_row < 2 * ROW_THREADS ? 2 * ROW_THREADS / per_row : 1;
    const unsigned blocks = blocks_for(how.rows, rows_per_block);
    if (how.group > 1)
        rotate_kernel<T, V, true><<<blocks, ROW_THREADS, 0, stream>>>((T *)qkv, how.heads, how.positions,
                                                                      how.rows, rows_per_block, how.cosine,
                                                                      how.sine, how.half, how.group);
    else
        rotate_kernel<T, V, false><<<blocks, ROW_THREADS, 0, stream>>>((T *)qkv, how.heads, how.positions,
                                                                       how.rows, rows_per_block, how.cosine,
                                                                       how.sine, how.half, how.group);
    return cudaGetLastError();
}

template <typename T> static cudaError_t rotate(const score_rotation &how, void *qkv, cudaStream_t stream)
{
    /* Every place in a row is a sum of multiples of the head size and of half. */
    const uint32_t all = how.half | how.heads.head_size;
    if (all % 8 == 0)
        return rotate_by<T, 8>(how, qkv, stream);
    if (all % 4 == 0)
        return rotate_by<T, 4>(how, qkv, stream);
    if (all % 2 == 0)
        return rotate_by<T, 2>(how, qkv, stream);
    return rotate_by<T, 1>(how, qkv, stream);
}

template <typename Piece>
static cudaError_t gather(const void *from, const uint32_t *rows, uint32_t count, size_t row_bytes, void *to,
                          cudaStream_t stream)
{
    gather_kernel<Piece><<<blocks_for(count, ROW_WARPS), ROW_THREADS, 0, stream>>>(
        (const Piece *)from, rows, count, row_bytes / sizeof(Piece), (Piece *)to);
    return cudaGetLastError();
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t score_launch_convert(enum score_type from_type, const void *from,
                                            enum score_type to_type, void *to, uint64_t rows, uint64_t width,
                                            uint64_t stride, cudaStream_t stream)
{
#define CALL(T) convert_from<T>(from, to_type, to, rows, width, stride, stream)
    return SCORE_DISPATCH(from_type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_embed(enum score_type type, const void *table, const uint32_t *ids,
                                          uint32_t rows, uint32_t width, float *hidden, cudaStream_t stream)
{
#define CALL(T) embed<T, false>(table, ids, rows, width, hidden, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_embed_add(enum score_type type, const void *table, const uint32_t *ids,
                                              uint32_t rows, uint32_t width, float *hidden,
                                              cudaStream_t stream)
{
#define CALL(T) embed<T, true>(table, ids, rows, width, hidden, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_scale(float *x, uint64_t count, float factor, cudaStream_t stream)
{
    scale_kernel<<<blocks_for(count, ROW_THREADS), ROW_THREADS, 0, stream>>>(x, count, factor);
    return cudaGetLastError();
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

extern "C" cudaError_t score_launch_rotate(enum score_type type, const struct score_rotation *how, void *qkv,
                                           cudaStream_t stream)
{
#define CALL(T) rotate<T>(*how, qkv, stream)
    return how->half ? SCORE_DISPATCH(type, CALL) : cudaSuccess;
#undef CALL
}

extern "C" cudaError_t score_launch_gather(const void *from, const uint32_t *rows, uint32_t count,
                                           size_t row_bytes, void *to, cudaStream_t stream)
{
    return row_bytes % sizeof(uint4) ? gather<uint16_t>(from, rows, count, row_bytes, to, stream)
                                     : gather<uint4>(from, rows, count, row_bytes, to, stream);
}
