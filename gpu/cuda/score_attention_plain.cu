/*
 * Causal attention in float32 arithmetic, for models in float32 and for head sizes that matrix units do not
 * take. A warp takes one query; its lanes share the keys for the scores, 32 at a time, and the dimensions for
 * the sums of values.
 */
#include "gpu/cuda/score_device.cuh"

#include <math_constants.h>

#define WARPS 4
#define LANE_DIMENSIONS 8 /* of a head, per lane: more are the work of further blocks */
#define BLOCK_DIMENSIONS (32 * LANE_DIMENSIONS)

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

template <typename T, bool IS_GROUPED, bool HAS_ALIBI, bool HAS_WINDOW>
__global__ void attention_plain_kernel(const T *qkv, const score_heads heads, const score_tile *tiles,
                                       float scale, T *out, uint64_t out_stride, uint32_t group,
                                       const float *slopes, uint32_t window)
{
    extern __shared__ float queries[]; /* [WARPS, head_size] */
    const score_tile tile = tiles[blockIdx.x];
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32, size = heads.head_size;
    const uint32_t first_dimension = blockIdx.z * BLOCK_DIMENSIONS;
    const T *base = qkv + (size_t)blockIdx.y * heads.head_stride;
    const T *key_base = IS_GROUPED ? qkv + (size_t)(blockIdx.y / group) * heads.head_stride : base;
    float *query = queries + warp * size;
    for (uint32_t row = tile.begin + warp; row < tile.begin + tile.count; row += WARPS) {
        float largest = -CUDART_INF_F, sum = 0, out_lane[LANE_DIMENSIONS] = {};
        __syncwarp(); /* the query before was used */
        for (uint32_t i = lane; i < size; i += 32)
            query[i] = to_float(base[(size_t)row * heads.row_stride + i]);
        __syncwarp();
        const uint32_t begin = HAS_WINDOW ? window_begin(tile.document, row, window) : tile.document;
        for (uint32_t first = begin; first <= row; first += 32) {
            float score = -CUDART_INF_F;
            if (first + lane <= row) {
                const T *key = key_base + heads.key_shift + (size_t)(first + lane) * heads.row_stride;
                float dot = 0;
                for (uint32_t i = 0; i < size; i++)
                    dot += query[i] * to_float(key[i]);
                score = overflows<T> && !isfinite(dot) ? CUDART_NAN_F : dot * scale;
                if (HAS_ALIBI)
                    score -= slopes[blockIdx.y] * (float)(row - first - lane);
            }
            float peak = fmaxf(largest, score);
            for (int step = 16; step > 0; step /= 2)
                peak = fmaxf(peak, __shfl_xor_sync(0xffffffffU, peak, step));
            const float shrink = expf(largest - peak);
            const float weight = expf(score - peak);
            sum = sum * shrink + warp_sum(weight);
            largest = peak;
            for (int c = 0; c < LANE_DIMENSIONS; c++)
                out_lane[c] *= shrink;
            for (uint32_t t = 0; t < 32 && first + t <= row; t++) {
                const float shared_weight = __shfl_sync(0xffffffffU, weight, (int)t);
                const T *value = key_base + heads.value_shift + (size_t)(first + t) * heads.row_stride;
#pragma unroll
                for (int c = 0; c < LANE_DIMENSIONS; c++) {
                    const uint32_t dimension = first_dimension + lane + 32U * c;
                    if (dimension < size)
                        out_lane[c] += shared_weight * to_float(value[dimension]);
                }
            }
        }
        T *to = out + (size_t)row * out_stride + (size_t)blockIdx.y * size;
#pragma unroll
        for (int c = 0; c < LANE_DIMENSIONS; c++) {
            const uint32_t dimension = first_dimension + lane + 32U * c;
            if (dimension < size)
                to[dimension] = from_float<T>(out_lane[c] / sum);
        }
    }
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

template <typename T, bool IS_GROUPED, bool HAS_ALIBI, bool HAS_WINDOW>
static cudaError_t attend_plain_as(const void *qkv, const score_attention &how, void *out,
                                   uint64_t out_stride, cudaStream_t stream)
{
    const dim3 grid(how.tile_count, how.heads.head_count,
                    (how.heads.head_size + BLOCK_DIMENSIONS - 1) / BLOCK_DIMENSIONS);
    const size_t bytes = WARPS * how.heads.head_size * sizeof(float);
    attention_plain_kernel<T, IS_GROUPED, HAS_ALIBI, HAS_WINDOW>
        <<<grid, 32 * WARPS, bytes, stream>>>((const T *)qkv, how.heads, how.tiles, (float)how.scale,
                                              (T *)out, out_stride, how.group, how.slopes, how.window);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t attend_plain(const void *qkv, const score_attention &how, void *out, uint64_t out_stride,
                                cudaStream_t stream)
{
    if (how.slopes)
        return attend_plain_as<T, false, true, false>(qkv, how, out, out_stride, stream);
    if (how.window)
        return attend_plain_as<T, true, false, true>(qkv, how, out, out_stride, stream);
    if (how.group > 1)
        return attend_plain_as<T, true, false, false>(qkv, how, out, out_stride, stream);
    return attend_plain_as<T, false, false, false>(qkv, how, out, out_stride, stream);
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t score_launch_attention_plain(enum score_type type, const void *qkv,
                                                    const struct score_attention *attention, void *out,
                                                    uint64_t out_stride, cudaStream_t stream)
{
#define CALL(T) attend_plain<T>(qkv, *attention, out, out_stride, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}
