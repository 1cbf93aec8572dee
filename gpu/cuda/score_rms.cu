/*
 * The RMS norm: of the residual stream on its way into a product, of queries and keys in place, and of a
 * product on its way to the residual stream. Bound by memory, as the kernels of score_rows.cu.
 */
#include "gpu/cuda/score_device.cuh"

#define ROW_WARPS (ROW_THREADS / 32)

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* What the norm gives goes to its place, or is added to what is there. */
template <bool IS_SUM, typename To> static __device__ __forceinline__ void put(To &to, float value)
{
    to = from_float<To>(IS_SUM ? to_float(to) + value : value);
}

/* Where block y finds its piece of a row. */
template <typename T> static __device__ __forceinline__ T *piece_of(T *rows, const score_rms &rms)
{
    return rows + (uint64_t)blockIdx.y * rms.width;
}

/* GROUP threads per row keep it in registers: its width is a multiple of 4 and at most 4 * GROUP * COUNT.
 * `out` may be `x`. */
template <typename From, typename To, bool IS_SUM, int GROUP, int COUNT>
__global__ void rms_kernel(const score_rms rms, const From *x, uint64_t stride, To *out)
{
    __shared__ float room[32];
    const uint32_t lane = threadIdx.x % GROUP, vectors = rms.width / 4;
    const uint32_t row = blockIdx.x * (blockDim.x / GROUP) + threadIdx.x / GROUP;
    if (row >= rms.rows)
        return; // guard: whole groups leave, and only groups of one warp have neighbours in their block
    const auto *from = (const vector_of<From, 4> *)(piece_of(x, rms) + row * stride);
    auto *to = (vector_of<To, 4> *)(piece_of(out, rms) + row * stride);
    vector_of<From, 4> own[COUNT] = {};
    float sum = 0;
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        if (lane + k * GROUP < vectors)
            own[k] = from[lane + k * GROUP];
#pragma unroll
    for (int k = 0; k < COUNT; k++)
#pragma unroll
        for (int j = 0; j < 4; j++)
            sum += to_float(own[k].at[j]) * to_float(own[k].at[j]);
    const float inverse = 1.0F / sqrtf(group_sum<GROUP>(sum, room) / (float)rms.width + rms.epsilon);
#pragma unroll
    for (int k = 0; k < COUNT; k++) {
        const uint32_t i = lane + k * GROUP;
        if (i >= vectors)
            continue;
        const auto weight = ((const vector_of<float, 4> *)rms.weight)[i];
        vector_of<To, 4> result = {};
        if (IS_SUM)
            result = to[i];
#pragma unroll
        for (int j = 0; j < 4; j++)
            put<IS_SUM>(result.at[j], to_float(own[k].at[j]) * inverse * weight.at[j]);
        to[i] = result;
    }
}

/* Any width: a block per row, which is read twice, the second time from the nearest cache. */
template <typename From, typename To, bool IS_SUM>
__global__ void rms_any_kernel(const score_rms rms, const From *x, uint64_t stride, To *out)
{
    __shared__ float room[32];
    float sum = 0;
    x = piece_of(x, rms) + blockIdx.x * stride;
    out = piece_of(out, rms) + blockIdx.x * stride;
    for (uint32_t i = threadIdx.x; i < rms.width; i += ROW_THREADS)
        sum += to_float(x[i]) * to_float(x[i]);
    const float inverse = 1.0F / sqrtf(group_sum<ROW_THREADS>(sum, room) / (float)rms.width + rms.epsilon);
    for (uint32_t i = threadIdx.x; i < rms.width; i += ROW_THREADS)
        put<IS_SUM>(out[i], to_float(x[i]) * inverse * rms.weight[i]);
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

template <typename From, typename To, bool IS_SUM>
static cudaError_t normalize(const score_rms &rms, const void *from, uint64_t stride, uint32_t parts,
                             void *to, cudaStream_t stream)
{
    const dim3 some(blocks_for(rms.rows, ROW_WARPS), parts), each(rms.rows, parts);
    const bool is_whole = rms.width % 4 == 0 && stride % 4 == 0;
    const From *x = (const From *)from;
    To *out = (To *)to;
    if (is_whole && rms.width <= 4 * 32 * 4)
        rms_kernel<From, To, IS_SUM, 32, 4><<<some, ROW_THREADS, 0, stream>>>(rms, x, stride, out);
    else if (is_whole && rms.width <= 4 * 32 * 16)
        rms_kernel<From, To, IS_SUM, 32, 16><<<some, ROW_THREADS, 0, stream>>>(rms, x, stride, out);
    else if (is_whole && rms.width <= 4 * ROW_THREADS * 8)
        rms_kernel<From, To, IS_SUM, ROW_THREADS, 8><<<each, ROW_THREADS, 0, stream>>>(rms, x, stride, out);
    else
        rms_any_kernel<From, To, IS_SUM><<<each, ROW_THREADS, 0, stream>>>(rms, x, stride, out);
    return cudaGetLastError();
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t score_launch_rms(enum score_type type, const struct score_rms *rms, const float *x,
                                        void *out, cudaStream_t stream)
{
#define CALL(T) normalize<float, T, false>(*rms, x, rms->width, 1, out, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_rms_in_place(enum score_type type, const struct score_rms *rms,
                                                 uint32_t parts, void *x, uint64_t stride,
                                                 cudaStream_t stream)
{
#define CALL(T) normalize<T, T, false>(*rms, x, stride, parts, x, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_rms_add(const struct score_rms *rms, const float *x, float *hidden,
                                            cudaStream_t stream)
{
    return normalize<float, float, true>(*rms, x, rms->width, 1, hidden, stream);
}
