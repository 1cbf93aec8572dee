/*
 * Causal attention over packed documents on matrix units: mma.sync 16 x 8 x 16 with float32 sums.
 *
 * A block takes one tile of 64 queries of one document and one head; each of its four warps 16 queries. Keys
 * and values pass through shared memory in tiles, with the softmax kept running (Milakov and Gimelshein 2018;
 * Dao 2023): scores never reach memory. Documents do not see each other because a tile's keys begin where its
 * document does. Rows in shared memory are 16 bytes longer than a head, so that the eight rows that a matrix
 * load reads at once begin in different banks.
 */
#include "gpu/cuda/score_device.cuh"
#include "gpu/cuda/score_mma.cuh"

#include <math_constants.h>

#define TILE_ROWS SCORE_ATTENTION_ROWS
#define TILE_THREADS 128
#define ROW_PADDING 8 /* elements */

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

static __device__ __forceinline__ uint32_t pack(float low, float high, __half)
{
    const __half2 pair = __floats2half2_rn(low, high);
    return *(const uint32_t *)&pair;
}

static __device__ __forceinline__ uint32_t pack(float low, float high, __nv_bfloat16)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *(const uint32_t *)&pair;
}

/* Rows [first, first + count) of one head to shared memory; zeros from `end` on and beyond the head's size.
 */
template <typename T, int SIZE>
static __device__ __forceinline__ void load_tile(T *to, const T *from, const score_heads &heads,
                                                 uint32_t first, uint32_t count, uint32_t end)
{
    constexpr uint32_t vectors = SIZE / 8;
    for (uint32_t i = threadIdx.x; i < count * vectors; i += TILE_THREADS) {
        const uint32_t row = i / vectors, column = i % vectors * 8;
        uint4 value = make_uint4(0, 0, 0, 0);
        if (first + row < end && column < heads.head_size)
            value = *(const uint4 *)(from + (size_t)(first + row) * heads.row_stride + column);
        *(uint4 *)(to + row * (SIZE + ROW_PADDING) + column) = value;
    }
}

/* A warp's 16 queries: the running softmax of two rows per thread, and their sums of values. */
template <int SIZE> struct running {
    float largest[2], sum[2];
    float out[SIZE / 8][4];
};

/* scores = q k^T for 16 queries and KEYS keys. */
template <typename T, int SIZE, int KEYS>
static __device__ __forceinline__ void score_keys(const T *queries, const T *keys, float scores[KEYS / 8][4])
{
    constexpr int stride = SIZE + ROW_PADDING;
    const uint32_t lane = threadIdx.x % 32, block = lane / 8, row = lane % 8;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
        scores[n][0] = scores[n][1] = scores[n][2] = scores[n][3] = 0;
#pragma unroll
    for (int k = 0; k < SIZE; k += 16) {
        uint32_t a[4];
        load_blocks(a, queries + (row + (block & 1) * 8) * stride + k + (block >> 1) * 8);
#pragma unroll
        for (int n = 0; n < KEYS / 8; n += 2) {
            uint32_t b[4];
            load_blocks(b, keys + (n * 8 + (block >> 1) * 8 + row) * stride + k + (block & 1) * 8);
            multiply_add(scores[n], a, b[0], b[1], T());
            multiply_add(scores[n + 1], a, b[2], b[3], T());
        }
    }
}

/* scores become weights; earlier sums are scaled to the new largest score. `query` is that of the thread's
 * first row, `first_key` of the tile. */
template <int SIZE, int KEYS>
static __device__ __forceinline__ void weigh_keys(running<SIZE> &state, float scores[KEYS / 8][4],
                                                  uint32_t query, uint32_t first_key, float scale)
{
    const uint32_t column = threadIdx.x % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float largest = state.largest[half];
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                float &score = scores[n][2 * half + i];
                const uint32_t key = first_key + n * 8 + column + i;
                score = key <= query + 8 * half ? score * scale : -CUDART_INF_F;
                largest = fmaxf(largest, score);
            }
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, 2));
        const float shrink = exp2f(state.largest[half] - largest);
        float sum = 0;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                float &score = scores[n][2 * half + i];
                score = exp2f(score - largest);
                sum += score;
            }
        state.sum[half] = state.sum[half] * shrink + sum;
        state.largest[half] = largest;
#pragma unroll
        for (int n = 0; n < SIZE / 8; n++) {
            state.out[n][2 * half] *= shrink;
            state.out[n][2 * half + 1] *= shrink;
        }
    }
}

/* out += weights v. */
template <typename T, int SIZE, int KEYS>
static __device__ __forceinline__ void add_values(running<SIZE> &state, const T *values,
                                                  float weights[KEYS / 8][4])
{
    constexpr int stride = SIZE + ROW_PADDING;
    const uint32_t lane = threadIdx.x % 32, block = lane / 8, row = lane % 8;
#pragma unroll
    for (int k = 0; k < KEYS / 16; k++) {
        const uint32_t a[4] = {pack(weights[2 * k][0], weights[2 * k][1], T()),
                               pack(weights[2 * k][2], weights[2 * k][3], T()),
                               pack(weights[2 * k + 1][0], weights[2 * k + 1][1], T()),
                               pack(weights[2 * k + 1][2], weights[2 * k + 1][3], T())};
#pragma unroll
        for (int n = 0; n < SIZE / 8; n += 2) {
            uint32_t b[4];
            load_blocks_transposed(b, values + (k * 16 + (block & 1) * 8 + row) * stride + n * 8 +
                                          (block >> 1) * 8);
            multiply_add(state.out[n], a, b[0], b[1], T());
            multiply_add(state.out[n + 1], a, b[2], b[3], T());
        }
    }
}

template <typename T, int SIZE, int KEYS>
__global__ void __launch_bounds__(TILE_THREADS)
    attention_kernel(const T *qkv, const score_heads heads, const score_tile *tiles, float scale, T *out)
{
    constexpr int stride = SIZE + ROW_PADDING;
    extern __shared__ uint4 memory[];
    T *queries = (T *)memory, *keys = queries + TILE_ROWS * stride, *values = keys + KEYS * stride;
    const score_tile tile = tiles[blockIdx.x];
    const uint32_t end = tile.begin + tile.count, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const T *base = qkv + (size_t)blockIdx.y * heads.head_stride;
    const uint32_t query =
        tile.begin + warp * 16 + lane / 4; /* of the thread's first row; the second is 8 later */
    running<SIZE> state;
    for (int half = 0; half < 2; half++) {
        state.largest[half] = -CUDART_INF_F;
        state.sum[half] = 0;
    }
#pragma unroll
    for (int n = 0; n < SIZE / 8; n++)
        state.out[n][0] = state.out[n][1] = state.out[n][2] = state.out[n][3] = 0;
    load_tile<T, SIZE>(queries, base, heads, tile.begin, TILE_ROWS, end);
    for (uint32_t first = tile.document; first < end; first += KEYS) {
        float scores[KEYS / 8][4];
        __syncthreads(); /* the tile before was used */
        load_tile<T, SIZE>(keys, base + heads.key_shift, heads, first, KEYS, end);
        load_tile<T, SIZE>(values, base + heads.value_shift, heads, first, KEYS, end);
        __syncthreads();
        score_keys<T, SIZE, KEYS>(queries + warp * 16 * stride, keys, scores);
        weigh_keys<SIZE, KEYS>(state, scores, query, first, scale);
        add_values<T, SIZE, KEYS>(state, values, scores);
    }
    const size_t width = (size_t)heads.head_count * heads.head_size;
    for (int half = 0; half < 2; half++) {
        float sum = state.sum[half];
        sum += __shfl_xor_sync(0xffffffffU, sum, 1);
        sum += __shfl_xor_sync(0xffffffffU, sum, 2);
        const uint32_t row = query + 8 * half;
        if (row >= end)
            continue; /* padding of the tile */
        T *to = out + (size_t)row * width + (size_t)blockIdx.y * heads.head_size + lane % 4 * 2;
#pragma unroll
        for (int n = 0; n < SIZE / 8; n++)
            if ((uint32_t)n * 8 < heads.head_size)
                *(uint32_t *)(to + n * 8) =
                    pack(state.out[n][2 * half] / sum, state.out[n][2 * half + 1] / sum, T());
    }
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

template <typename T, int SIZE, int KEYS>
static cudaError_t attend_size(const void *qkv, const score_heads *heads, const score_tile *tiles,
                               uint32_t tile_count, void *out, cudaStream_t stream)
{
    const size_t bytes = (size_t)(TILE_ROWS + 2 * KEYS) * (SIZE + ROW_PADDING) * sizeof(T);
    /* exp2 is the hardware's own. */
    const float scale = (float)(1.4426950408889634 / sqrt((double)heads->head_size));
    cudaError_t status = cudaFuncSetAttribute(attention_kernel<T, SIZE, KEYS>,
                                              cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
    if (status != cudaSuccess)
        return status;
    attention_kernel<T, SIZE, KEYS><<<dim3(tile_count, heads->head_count), TILE_THREADS, bytes, stream>>>(
        (const T *)qkv, *heads, tiles, scale, (T *)out);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t attend(const void *qkv, const score_heads *heads, const score_tile *tiles,
                          uint32_t tile_count, void *out, cudaStream_t stream)
{
    if (heads->head_size <= 32)
        return attend_size<T, 32, 64>(qkv, heads, tiles, tile_count, out, stream);
    if (heads->head_size <= 64)
        return attend_size<T, 64, 64>(qkv, heads, tiles, tile_count, out, stream);
    if (heads->head_size <= 80)
        return attend_size<T, 80, 64>(qkv, heads, tiles, tile_count, out, stream);
    if (heads->head_size <= 128)
        return attend_size<T, 128, 64>(qkv, heads, tiles, tile_count, out, stream);
    return attend_size<T, 256, 32>(qkv, heads, tiles, tile_count, out, stream);
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t score_launch_attention(enum score_type type, const void *qkv,
                                              const struct score_heads *heads, const struct score_tile *tiles,
                                              uint32_t tile_count, void *out, cudaStream_t stream)
{
    if (type == SCORE_TYPE_F32 || heads->head_size % 8 || heads->head_size > 256)
        return score_launch_attention_plain(type, qkv, heads, tiles, tile_count, out, stream);
    if (type == SCORE_TYPE_F16)
        return attend<__half>(qkv, heads, tiles, tile_count, out, stream);
    return attend<__nv_bfloat16>(qkv, heads, tiles, tile_count, out, stream);
}
