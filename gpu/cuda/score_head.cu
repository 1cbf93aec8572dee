/*
 * Logits to log-probabilities: a running log-sum-exp per row over blocks of the vocabulary, so that
 * probabilities are never stored. A block of logits is small enough to be read back from the L2.
 */
#include "gpu/cuda/score_kernels.h"

#include <math_constants.h>

#define HEAD_THREADS 256
#define HEAD_VALUES (SCORE_HEAD_COLUMNS / HEAD_THREADS) /* logits of a thread, which it keeps */

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

__global__ void head_start_kernel(score_head_state *states, uint32_t rows)
{
    const uint32_t row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows)
        return; // guard
    states[row] = {0.0, -CUDART_INF_F, CUDART_NAN_F, 0xffffffffU, 0};
}

/* The larger logit, of equals the first; NaN is never larger. */
static __device__ __forceinline__ void prefer(float &value, uint32_t &index, float other,
                                              uint32_t other_index)
{
    if (other > value || (other == value && other_index < index)) {
        value = other;
        index = other_index;
    }
}

/* The V logits from `place` on; NaN beyond the row, which is a multiple of V long. */
template <int V>
static __device__ __forceinline__ void load_logits(float *to, const float *row, uint32_t place,
                                                   uint32_t columns)
{
    if (V == 4) {
        float4 x = make_float4(CUDART_NAN_F, CUDART_NAN_F, CUDART_NAN_F, CUDART_NAN_F);
        if (place < columns)
            x = *(const float4 *)(row + place);
        to[0] = x.x;
        to[1] = x.y;
        to[2] = x.z;
        to[3] = x.w;
    } else {
        to[0] = place < columns ? row[place] : CUDART_NAN_F;
    }
}

/* One block per row, of at most SCORE_HEAD_COLUMNS logits. */
template <int V>
__global__ void __launch_bounds__(HEAD_THREADS)
    head_add_kernel(const float *logits, uint32_t columns, uint32_t first, const uint32_t *targets,
                    score_head_state *states)
{
    __shared__ float values[HEAD_THREADS / 32];
    __shared__ uint32_t indices[HEAD_THREADS / 32];
    __shared__ double sums[HEAD_THREADS / 32];
    const float *x = logits + (size_t)blockIdx.x * columns;
    const score_head_state before = states[blockIdx.x];
    float value = -CUDART_INF_F;
    uint32_t index = 0xffffffffU;
    float kept[HEAD_VALUES];
#pragma unroll
    for (uint32_t k = 0; k < HEAD_VALUES; k += V)
        load_logits<V>(kept + k, x, k * HEAD_THREADS + threadIdx.x * V, columns);
#pragma unroll
    for (uint32_t k = 0; k < HEAD_VALUES; k++)
        prefer(value, index, kept[k], first + k / V * V * HEAD_THREADS + threadIdx.x * V + k % V);
    for (int step = 16; step > 0; step /= 2)
        prefer(value, index, __shfl_xor_sync(0xffffffffU, value, step),
               __shfl_xor_sync(0xffffffffU, index, step));
    if (threadIdx.x % 32 == 0) {
        values[threadIdx.x / 32] = value;
        indices[threadIdx.x / 32] = index;
    }
    __syncthreads(); /* also: every thread has read the state */
    value = before.largest;
    index = before.best;
    for (int i = 0; i < HEAD_THREADS / 32; i++)
        prefer(value, index, values[i], indices[i]);
    /* A row of -Inf alone has no exponentials: keep Inf - Inf away. */
    const float from = value == -CUDART_INF_F ? 0.0F : value;
    double sum = 0;
#pragma unroll
    for (uint32_t k = 0; k < HEAD_VALUES; k++)
        if (k / V * V * HEAD_THREADS + threadIdx.x * V < columns)
            sum += (double)expf(kept[k] - from);
    for (int step = 16; step > 0; step /= 2)
        sum += __shfl_xor_sync(0xffffffffU, sum, step);
    if (threadIdx.x % 32 == 0)
        sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    /* Before anything finite the sum is 0, or NaN, which stays. */
    sum = before.largest == -CUDART_INF_F ? before.sum
                                          : before.sum * exp((double)before.largest - (double)from);
    for (int i = 0; i < HEAD_THREADS / 32; i++)
        sum += sums[i];
    const uint32_t target = targets[blockIdx.x];
    states[blockIdx.x].sum = sum;
    states[blockIdx.x].largest = value;
    states[blockIdx.x].best = index;
    if (target >= first && target - first < columns)
        states[blockIdx.x].target = x[target - first];
}

__global__ void head_finish_kernel(const score_head_state *states, const uint32_t *targets, uint32_t rows,
                                   double *logprobs, uint8_t *is_argmax)
{
    const uint32_t row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows)
        return; // guard
    const score_head_state state = states[row];
    const double logprob = (double)state.target - (double)state.largest - log(state.sum);
    logprobs[row] = logprob;
    is_argmax[row] = state.best == targets[row] && isfinite(logprob) ? 1 : 0;
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

extern "C" cudaError_t score_launch_head_start(struct score_head_state *states, uint32_t rows,
                                               cudaStream_t stream)
{
    head_start_kernel<<<(rows + 127) / 128, 128, 0, stream>>>(states, rows);
    return cudaGetLastError();
}

extern "C" cudaError_t score_launch_head_add(const float *logits, uint32_t rows, uint32_t columns,
                                             uint32_t first, const uint32_t *targets,
                                             struct score_head_state *states, cudaStream_t stream)
{
    if (columns % 4 == 0)
        head_add_kernel<4><<<rows, HEAD_THREADS, 0, stream>>>(logits, columns, first, targets, states);
    else
        head_add_kernel<1><<<rows, HEAD_THREADS, 0, stream>>>(logits, columns, first, targets, states);
    return cudaGetLastError();
}

extern "C" cudaError_t score_launch_head_finish(const struct score_head_state *states,
                                                const uint32_t *targets, uint32_t rows, double *logprobs,
                                                uint8_t *is_argmax, cudaStream_t stream)
{
    head_finish_kernel<<<(rows + 127) / 128, 128, 0, stream>>>(states, targets, rows, logprobs, is_argmax);
    return cudaGetLastError();
}
