/*
 * Causal attention over packed documents on matrix units: mma.sync 16 x 8 x 16 with float32 sums.
 *
 * A block takes one tile of 64 queries of one document and one head; each of its four warps 16 queries. Keys
 * and values pass through shared memory in tiles, two of them at once so that one arrives while the other is
 * used, with the softmax kept running (Milakov and Gimelshein 2018; Dao 2023): scores never reach memory.
 * Documents do not see each other because a tile's keys begin where its document does. A warp leaves out the
 * tiles whose keys are all later than its queries, and all of them where it has no query. With a window, a
 * block begins at the first key that its first query sees, and a warp also leaves out tiles before its own
 * windows: the cost falls with the window. Rows in shared memory are 16 bytes longer than a head, so that the
 * eight rows that a matrix load reads at once begin in different banks.
 */
#include "gpu/cuda/score_device.cuh"
#include "gpu/cuda/score_mma.cuh"

#include <math_constants.h>

#define TILE_ROWS SCORE_ATTENTION_ROWS
#define TILE_THREADS 128
#define WARP_ROWS 16
#define ROW_PADDING 8 /* elements */
#define STAGES 2      /* tiles of keys and values in shared memory */

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

/* Starts to copy rows [first, first + COUNT) of one head to shared memory; zeros from `end` on and beyond the
 * head's size. */
template <typename T, int SIZE, int COUNT>
static __device__ __forceinline__ void load_rows(T *to, const T *from, const score_heads &heads,
                                                 uint32_t first, uint32_t end)
{
    constexpr uint32_t vectors = SIZE / 8;
#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < COUNT * vectors; i += TILE_THREADS) {
        const uint32_t row = i / vectors, column = i % vectors * 8;
        const bool is_there = first + row < end && column < heads.head_size;
        copy_start(to + row * (SIZE + ROW_PADDING) + column,
                   from + (is_there ? (size_t)(first + row) * heads.row_stride + column : 0), is_there);
    }
}

/* A warp's 16 queries: as fragments where the registers hold them, the running softmax of two rows per
 * thread, and their sums of values. */
template <int SIZE> struct running {
    static constexpr bool has_queries = SIZE <= 128;
    uint32_t queries[has_queries ? SIZE / 16 : 1][4];
    float largest[2], sum[2]; /* of the scores as they are; of weights */
    float out[SIZE / 8][4];
};

template <typename T, int SIZE>
static __device__ __forceinline__ void load_queries(uint32_t *a, const T *queries, int k)
{
    const uint32_t lane = threadIdx.x % 32;
    load_blocks(a, queries + lane % 16 * (SIZE + ROW_PADDING) + k * 16 + lane / 16 * 8);
}

/* scores = q k^T for 16 queries and KEYS keys. Few keys have two sums each, of every second part of a head,
 * so that a product waits less for the one before. */
template <typename T, int SIZE, int KEYS>
static __device__ __forceinline__ void score_keys(running<SIZE> &state, const T *queries, const T *keys,
                                                  float scores[KEYS / 8][4])
{
    const uint32_t lane = threadIdx.x % 32;
    keys += (lane / 16 * 8 + lane % 8) * (SIZE + ROW_PADDING) + lane / 8 % 2 * 8;
    constexpr int sums = KEYS <= 16 ? 2 : 1;
    float all[sums][KEYS / 8][4] = {};
#pragma unroll
    for (int k = 0; k < SIZE / 16; k++) {
        float(*own)[4] = all[k % sums];
        uint32_t *a = state.queries[running<SIZE>::has_queries ? k : 0];
        if (!running<SIZE>::has_queries)
            load_queries<T, SIZE>(a, queries, k);
#pragma unroll
        for (int n = 0; n < KEYS / 8; n += 2) {
            uint32_t b[4];
            load_blocks(b, keys + n * 8 * (SIZE + ROW_PADDING) + k * 16);
            multiply_add(own[n], a, b[0], b[1], T());
            multiply_add(own[n + 1], a, b[2], b[3], T());
        }
    }
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            scores[n][i] = sums == 1 ? all[0][n][i] : all[0][n][i] + all[sums - 1][n][i];
}

/* What takes the place of the score of a key that is not seen: less than any other. */
template <typename T> static __device__ __forceinline__ float masked()
{
    return overflows<T> ? -1e30F : -CUDART_INF_F;
}

/* Leaves out the scores of keys that are later than their query: they become less than any other, so that
 * their weight is 0. Scores of float16 are above -1e13, or infinite. `query` is that of the thread's first
 * row, `first_key` of the tile. */
template <typename T, int KEYS>
static __device__ __forceinline__ void mask_keys(float scores[KEYS / 8][4], uint32_t query,
                                                 uint32_t first_key)
{
    const uint32_t column = threadIdx.x % 4 * 2;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (first_key + n * 8 + column + i % 2 > query + i / 2 * 8)
                scores[n][i] = masked<T>();
}

/* Likewise keys that are before the window of their query, as far as all KEYS are not within. */
template <typename T, int KEYS>
static __device__ __forceinline__ void mask_early(float scores[KEYS / 8][4], uint32_t query,
                                                  uint32_t first_key, uint32_t window)
{
    const uint32_t column = threadIdx.x % 4 * 2;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (first_key + n * 8 + column + i % 2 + window <= query + i / 2 * 8)
                scores[n][i] = masked<T>();
}

/* Scores, before they are scaled, fall by `slope` with every position that a key is away. `query` and
 * `first_key` as above; what is masked afterwards may be anything but infinite. */
template <int KEYS>
static __device__ __forceinline__ void incline_keys(float scores[KEYS / 8][4], uint32_t query,
                                                    uint32_t first_key, float slope)
{
    const float distance = (float)(int)(query - first_key - threadIdx.x % 4 * 2);
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            scores[n][i] -= slope * (distance + (float)(i / 2 * 8 - n * 8 - i % 2));
}

/* scores become weights; earlier sums are scaled to the new largest score. With a window, a query may see no
 * key of a tile: as long as it has seen none, weights are 0. */
template <typename T, int SIZE, int KEYS, bool HAS_WINDOW>
static __device__ __forceinline__ void weigh_keys(running<SIZE> &state, float scores[KEYS / 8][4],
                                                  float scale)
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float largest = state.largest[half], sum = 0;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const float score = scores[n][2 * half + i];
                largest = fmaxf(largest, score);
                if (overflows<T>)
                    sum += score * 0; /* NaN, where a score is infinite */
            }
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, 2));
        const float base = HAS_WINDOW && largest <= masked<T>() ? 0 : largest;
        const float shift = -base * scale, shrink = exp2_near(state.largest[half] * scale + shift);
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                float &score = scores[n][2 * half + i];
                score = exp2_near(score * scale + shift);
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
    const uint32_t lane = threadIdx.x % 32;
    values += lane % 16 * (SIZE + ROW_PADDING) + lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < KEYS / 16; k++) {
        const uint32_t a[4] = {pack(weights[2 * k][0], weights[2 * k][1], T()),
                               pack(weights[2 * k][2], weights[2 * k][3], T()),
                               pack(weights[2 * k + 1][0], weights[2 * k + 1][1], T()),
                               pack(weights[2 * k + 1][2], weights[2 * k + 1][3], T())};
#pragma unroll
        for (int n = 0; n < SIZE / 8; n += 2) {
            uint32_t b[4];
            load_blocks_transposed(b, values + k * 16 * (SIZE + ROW_PADDING) + n * 8);
            multiply_add(state.out[n], a, b[0], b[1], T());
            multiply_add(state.out[n + 1], a, b[2], b[3], T());
        }
    }
}

/* The warp's rows of the result, `count` of them, by way of its rows of shared memory: in whole vectors. */
template <typename T, int SIZE>
static __device__ __forceinline__ void store_rows(const running<SIZE> &state, T *room, uint32_t head_size,
                                                  T *to, size_t to_stride, uint32_t count)
{
    constexpr uint32_t stride = SIZE + ROW_PADDING, vectors = SIZE / 8;
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = state.sum[half];
        sum += __shfl_xor_sync(0xffffffffU, sum, 1);
        sum += __shfl_xor_sync(0xffffffffU, sum, 2);
        const float share = 1.0F / sum;
        T *row = room + (lane / 4 + 8 * half) * stride + lane % 4 * 2;
#pragma unroll
        for (int n = 0; n < SIZE / 8; n++)
            *(uint32_t *)(row + n * 8) =
                pack(state.out[n][2 * half] * share, state.out[n][2 * half + 1] * share, T());
    }
    __syncwarp();
    for (uint32_t i = lane; i < count * vectors; i += 32) {
        const uint32_t row = i / vectors, column = i % vectors * 8;
        if (column < head_size)
            *(uint4 *)(to + row * to_stride + column) = *(const uint4 *)(room + row * stride + column);
    }
}

/* A slope times `unscale` is taken off for each position before `scale` is applied. */
template <typename T, int SIZE, int KEYS, int BLOCKS, bool IS_GROUPED, bool HAS_ALIBI, bool HAS_WINDOW>
__global__ void __launch_bounds__(TILE_THREADS, BLOCKS)
    attention_kernel(const T *qkv, const score_heads heads, const score_tile *tiles, float scale, T *out,
                     uint64_t out_stride, uint32_t group, const float *slopes, float unscale, uint32_t window)
{
    constexpr uint32_t stride = SIZE + ROW_PADDING;
    extern __shared__ uint4 memory[];
    T *queries = (T *)memory, *stages = queries + TILE_ROWS * stride;
    const uint32_t head = blockIdx.x % heads.head_count; /* heads of a tile lie beside each other */
    const score_tile tile = tiles[blockIdx.x / heads.head_count];
    const T *base = qkv + (size_t)head * heads.head_stride;
    const T *key_base = IS_GROUPED ? qkv + (size_t)(head / group) * heads.head_stride : base;
    const auto load_stage = [&](uint32_t stage, uint32_t first) {
        T *keys = stages + stage * 2 * KEYS * stride;
        if (first < tile.begin + tile.count) {
            load_rows<T, SIZE, KEYS>(keys, key_base + heads.key_shift, heads, first, tile.begin + tile.count);
            load_rows<T, SIZE, KEYS>(keys + KEYS * stride, key_base + heads.value_shift, heads, first,
                                     tile.begin + tile.count);
        }
        copy_group();
    };
    const uint32_t begin = HAS_WINDOW ? window_begin(tile.document, tile.begin, window) : tile.document;
    load_rows<T, SIZE, TILE_ROWS>(queries, base, heads, tile.begin, tile.begin + tile.count);
    for (uint32_t stage = 0; stage < STAGES; stage++)
        load_stage(stage, begin + stage * KEYS);

    /* The warp's rows of the tile; keys from `end` on are not for them. */
    const uint32_t row = threadIdx.x / 32 * WARP_ROWS;
    const uint32_t count = tile.count > row ? min(tile.count - row, (uint32_t)WARP_ROWS) : 0;
    const uint32_t end = count ? tile.begin + row + count : 0;
    queries += row * stride;
    running<SIZE> state;
    for (int half = 0; half < 2; half++) {
        state.largest[half] = -CUDART_INF_F;
        state.sum[half] = 0;
    }
#pragma unroll
    for (int n = 0; n < SIZE / 8; n++)
        state.out[n][0] = state.out[n][1] = state.out[n][2] = state.out[n][3] = 0;
    if (running<SIZE>::has_queries) {
        copy_wait<STAGES - 1>();
        __syncthreads();
#pragma unroll
        for (int k = 0; k < SIZE / 16; k++)
            load_queries<T, SIZE>(state.queries[k], queries, k);
    }
    uint32_t stage = 0;
    for (uint32_t first = begin; first < tile.begin + tile.count; first += KEYS) {
        const T *keys = stages + stage * 2 * KEYS * stride;
        copy_wait<STAGES - 1>();
        __syncthreads(); /* everybody's copies have arrived */
        if (first < end && (!HAS_WINDOW || first + KEYS + window > tile.begin + row + 1)) {
            float scores[KEYS / 8][4];
            score_keys<T, SIZE, KEYS>(state, queries, keys, scores);
            if (HAS_ALIBI)
                incline_keys<KEYS>(scores, tile.begin + row + threadIdx.x % 32 / 4, first,
                                   slopes[head] * unscale);
            if (first + KEYS > tile.begin + row + 1) /* not all are for the warp's first query */
                mask_keys<T, KEYS>(scores, tile.begin + row + threadIdx.x % 32 / 4, first);
            if (HAS_WINDOW && first + window < tile.begin + row + WARP_ROWS) /* nor for its last one */
                mask_early<T, KEYS>(scores, tile.begin + row + threadIdx.x % 32 / 4, first, window);
            weigh_keys<T, SIZE, KEYS, HAS_WINDOW>(state, scores, scale);
            add_values<T, SIZE, KEYS>(state, keys + KEYS * stride, scores);
        }
        __syncthreads(); /* the tile was used */
        load_stage(stage, first + STAGES * KEYS);
        stage = (stage + 1) % STAGES;
    }
    store_rows<T, SIZE>(state, queries, heads.head_size,
                        out + (tile.begin + row) * out_stride + head * heads.head_size, out_stride, count);
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

/* Tiles of KEYS keys; registers for BLOCKS blocks on a multiprocessor. */
template <typename T, int SIZE, int KEYS, int BLOCKS, bool IS_GROUPED, bool HAS_ALIBI, bool HAS_WINDOW>
static cudaError_t attend_as(const void *qkv, const score_attention &how, void *out, uint64_t out_stride,
                             cudaStream_t stream)
{
    const size_t bytes = (size_t)(TILE_ROWS + STAGES * 2 * KEYS) * (SIZE + ROW_PADDING) * sizeof(T);
    /* exp2 is the hardware's own. */
    const float scale = (float)(1.4426950408889634 * how.scale);
    cudaError_t status =
        cudaFuncSetAttribute(attention_kernel<T, SIZE, KEYS, BLOCKS, IS_GROUPED, HAS_ALIBI, HAS_WINDOW>,
                             cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
    if (status != cudaSuccess)
        return status;
    attention_kernel<T, SIZE, KEYS, BLOCKS, IS_GROUPED, HAS_ALIBI, HAS_WINDOW>
        <<<how.tile_count * how.heads.head_count, TILE_THREADS, bytes, stream>>>(
            (const T *)qkv, how.heads, how.tiles, scale, (T *)out, out_stride, how.group, how.slopes,
            (float)(1 / how.scale), how.window);
    return cudaGetLastError();
}

template <typename T, int SIZE, int KEYS, int BLOCKS>
static cudaError_t attend_size(const void *qkv, const score_attention &how, void *out, uint64_t out_stride,
                               cudaStream_t stream)
{
    if (how.slopes)
        return attend_as<T, SIZE, KEYS, BLOCKS, false, true, false>(qkv, how, out, out_stride, stream);
    if (how.window)
        return attend_as<T, SIZE, KEYS, BLOCKS, true, false, true>(qkv, how, out, out_stride, stream);
    if (how.group > 1)
        return attend_as<T, SIZE, KEYS, BLOCKS, true, false, false>(qkv, how, out, out_stride, stream);
    return attend_as<T, SIZE, KEYS, BLOCKS, false, false, false>(qkv, how, out, out_stride, stream);
}

template <typename T>
static cudaError_t attend(const void *qkv, const score_attention &how, void *out, uint64_t out_stride,
                          cudaStream_t stream)
{
    if (how.heads.head_size <= 32)
        return attend_size<T, 32, 32, 7>(qkv, how, out, out_stride, stream);
    if (how.heads.head_size <= 64)
        return attend_size<T, 64, 32, 5>(qkv, how, out, out_stride, stream);
    if (how.heads.head_size <= 80)
        return attend_size<T, 80, 32, 4>(qkv, how, out, out_stride, stream);
    if (how.heads.head_size <= 128)
        return attend_size<T, 128, 32, 3>(qkv, how, out, out_stride, stream);
    return attend_size<T, 256, 16, 3>(qkv, how, out, out_stride, stream);
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t score_launch_attention(enum score_type type, const void *qkv,
                                              const struct score_attention *attention, void *out,
                                              uint64_t out_stride, cudaStream_t stream)
{
    if (attention->slopes && (attention->group > 1 || attention->window))
        return cudaErrorInvalidValue;
    if (type == SCORE_TYPE_F32 || attention->heads.head_size % 8 || attention->heads.head_size > 256)
        return score_launch_attention_plain(type, qkv, attention, out, out_stride, stream);
    if (type == SCORE_TYPE_F16)
        return attend<__half>(qkv, *attention, out, out_stride, stream);
    return attend<__nv_bfloat16>(qkv, *attention, out, out_stride, stream);
}
