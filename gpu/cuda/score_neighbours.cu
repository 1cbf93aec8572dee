/*
 * Rotation of queries and keys whose pairs are neighbours (Crystal and Pico, as GPT-J's). Bound by memory, as
 * the kernels of score_rows.cu, which rotate halves.
 */
#include "gpu/cuda/score_device.cuh"

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* A block per row, PAIRS pairs at once, in pieces of WIDE elements; PAIRS divides half, and WIDE all places
 * within a row. */
template <typename T, int PAIRS, int WIDE>
__global__ void rotate_neighbours_kernel(T *qkv, const score_heads heads, const uint32_t *positions,
                                         const float *cosine, const float *sine, uint32_t half,
                                         uint32_t group)
{
    const uint32_t per_head = half / PAIRS, row = blockIdx.x;
    const uint32_t all_heads = heads.head_count + heads.head_count / group;
    const size_t angles = (size_t)positions[row] * half;
    qkv += (size_t)row * heads.row_stride;
    for (uint32_t i = threadIdx.x; i < all_heads * per_head; i += ROW_THREADS) {
        const uint32_t place = i / per_head, j = i % per_head * PAIRS;
        const uint32_t head = place % heads.head_count, part = place / heads.head_count;
        auto *pairs =
            (vector_of<T, WIDE> *)(qkv + (size_t)head * heads.head_stride + part * heads.key_shift + 2 * j);
        const auto c = *(const vector_of<float, PAIRS> *)(cosine + angles + j),
                   s = *(const vector_of<float, PAIRS> *)(sine + angles + j);
        vector_of<T, WIDE> x[2 * PAIRS / WIDE];
#pragma unroll
        for (int k = 0; k < 2 * PAIRS / WIDE; k++)
            x[k] = pairs[k];
#pragma unroll
        for (int k = 0; k < PAIRS; k++) {
            T &first = x[2 * k / WIDE].at[2 * k % WIDE],
              &second = x[(2 * k + 1) / WIDE].at[(2 * k + 1) % WIDE];
            const float from = to_float(first), to = to_float(second);
            first = from_float<T>(from * c.at[k] - to * s.at[k]);
            second = from_float<T>(to * c.at[k] + from * s.at[k]);
        }
#pragma unroll
        for (int k = 0; k < 2 * PAIRS / WIDE; k++)
            pairs[k] = x[k];
    }
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

template <typename T>
static cudaError_t rotate_neighbours(const score_rotation &how, void *qkv, cudaStream_t stream)
{
    if (how.half % 4 == 0 && how.heads.head_size % 8 == 0)
        rotate_neighbours_kernel<T, 4, 8><<<how.rows, ROW_THREADS, 0, stream>>>(
            (T *)qkv, how.heads, how.positions, how.cosine, how.sine, how.half, how.group);
    else
        rotate_neighbours_kernel<T, 1, 1><<<how.rows, ROW_THREADS, 0, stream>>>(
            (T *)qkv, how.heads, how.positions, how.cosine, how.sine, how.half, how.group);
    return cudaGetLastError();
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t score_launch_rotate_neighbours(enum score_type type, const struct score_rotation *how,
                                                      void *qkv, cudaStream_t stream)
{
#define CALL(T) rotate_neighbours<T>(*how, qkv, stream)
    return how->half ? SCORE_DISPATCH(type, CALL) : cudaSuccess;
#undef CALL
}
