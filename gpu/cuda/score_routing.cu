/*
 * Which experts each input goes to, and the way there and back. Positions are counted, not drawn with
 * atomics, and sums have a fixed order: nothing depends on which thread comes first.
 *
 * A choice is an input and one of its experts. Choices are numbered input by input, those of an input ascend
 * with the expert; grouped, they are in the order of experts, and within an expert in that of the inputs.
 */
#include "gpu/cuda/score_device.cuh"

#define ROW_WARPS (ROW_THREADS / 32)

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* Ascends with the logit, from NaN on; of equal ones the first expert has the larger. No two are the same,
 * none is 0. */
static __device__ __forceinline__ uint64_t key_of(float logit, uint32_t expert)
{
    const uint32_t bits = __float_as_uint(logit + 0.0F); /* -0 is 0 */
    const uint32_t order = isnan(logit) ? 0 : bits >> 31 ? ~bits : bits | 0x80000000U;
    return (uint64_t)order << 32 | (uint32_t)~expert;
}

static __device__ __forceinline__ uint64_t warp_largest(uint64_t x)
{
    for (int step = 16; step > 0; step /= 2) {
        const uint64_t other = __shfl_xor_sync(0xffffffffU, x, step);
        x = other > x ? other : x;
    }
    return x;
}

/* The warp's largest key below `last`. */
template <typename Value>
static __device__ __forceinline__ uint64_t largest_below(uint64_t last, uint32_t experts, Value value_of)
{
    uint64_t best = 0;
    for (uint32_t expert = threadIdx.x % 32; expert < experts; expert += 32) {
        const uint64_t key = key_of(value_of(expert), expert);
        best = key < last && key > best ? key : best;
    }
    return warp_largest(best);
}

/* The experts whose keys are no smaller than `last`, in ascending order, and their weights. */
template <typename Value, typename Weight>
static __device__ __forceinline__ void write_choices(uint64_t last, uint32_t experts, Value value_of,
                                                     Weight weight_of, uint32_t *choices, float *weights)
{
    const uint32_t lane = threadIdx.x % 32;
    for (uint32_t first = 0, place = 0; first < experts; first += 32) {
        const uint32_t expert = first + lane;
        const bool is_chosen = expert < experts && key_of(value_of(expert), expert) >= last;
        const uint32_t lanes = __ballot_sync(0xffffffffU, is_chosen);
        if (is_chosen) {
            const uint32_t at = place + (uint32_t)__popc(lanes & ((1U << lane) - 1));
            choices[at] = expert;
            weights[at] = weight_of(expert);
        }
        place += (uint32_t)__popc(lanes);
    }
}

/* A warp per input: the largest logits, one after the other; then their experts with their part of the
 * softmax over all. */
__global__ void choose_kernel(const float *logits, uint32_t rows, uint32_t experts, uint32_t per_input,
                              int is_normalised, uint32_t *choices, float *weights)
{
    const uint32_t row = blockIdx.x * ROW_WARPS + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows)
        return; // guard: whole warps
    logits += (size_t)row * experts;
    const auto value_of = [=](uint32_t expert) { return logits[expert]; };
    uint64_t last = UINT64_MAX;
    float largest = 0, all = 0, chosen = 0; /* the largest logit; sums of exponentials */
    for (uint32_t i = 0; i < per_input; i++) {
        last = largest_below(last, experts, value_of);
        const float logit = logits[~(uint32_t)last];
        largest = i ? largest : logit;
        chosen += expf(logit - largest);
    }
    for (uint32_t expert = lane; expert < experts; expert += 32)
        all += expf(logits[expert] - largest);
    all = warp_sum(all);
    /* By way of `all`, which is NaN if any logit is. */
    const auto weight_of = [=](uint32_t expert) {
        const float weight = expf(logits[expert] - largest) / all;
        return is_normalised ? weight / (chosen / all) : weight;
    };
    const size_t place = (size_t)row * per_input;
    write_choices(last, experts, value_of, weight_of, choices + place, weights + place);
}

/* Keys are formed anew wherever they are compared, so they must be the same bits at each place. An addition
 * that the compiler may fuse with the product that expf ends in need not be. */
static __device__ __forceinline__ float sigmoid(float x)
{
    return 1 / __fadd_rn(1, expf(-x));
}

/* A warp per input: likewise, of the sums of sigmoids and biases. */
__global__ void choose_by_sigmoid_kernel(const float *logits, const float *bias, uint32_t rows,
                                         uint32_t experts, uint32_t per_input, int is_normalised, float least,
                                         float scale, uint32_t *choices, float *weights)
{
    const uint32_t row = blockIdx.x * ROW_WARPS + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows)
        return; // guard: whole warps
    logits += (size_t)row * experts;
    const auto value_of = [=](uint32_t expert) { return __fadd_rn(sigmoid(logits[expert]), bias[expert]); };
    uint64_t last = UINT64_MAX;
    float chosen = least, spoilt = 0; /* NaN if any sum is */
    for (uint32_t i = 0; i < per_input; i++) {
        last = largest_below(last, experts, value_of);
        chosen += sigmoid(logits[~(uint32_t)last]);
    }
    for (uint32_t expert = lane; expert < experts; expert += 32)
        spoilt = isnan(value_of(expert)) ? value_of(expert) : spoilt;
    spoilt = warp_sum(spoilt);
    const auto weight_of = [=](uint32_t expert) {
        const float weight = sigmoid(logits[expert]);
        return (is_normalised ? weight / chosen : weight) * (scale + spoilt);
    };
    const size_t place = (size_t)row * per_input;
    write_choices(last, experts, value_of, weight_of, choices + place, weights + place);
}

/* The choices of a block, to shared memory; how many there are. */
static __device__ __forceinline__ uint32_t load_part(const uint32_t *choices, uint32_t count, uint32_t *part)
{
    const uint32_t first = blockIdx.x * SCORE_ROUTES_PART, here = min(count - first, SCORE_ROUTES_PART);
    for (uint32_t i = threadIdx.x; i < here; i += ROW_THREADS)
        part[i] = choices[first + i];
    __syncthreads();
    return here;
}

/* counts[block, expert]: a thread per expert looks at all of the block's choices. */
__global__ void count_kernel(const uint32_t *choices, uint32_t count, uint32_t experts, uint32_t *counts)
{
    __shared__ uint32_t part[SCORE_ROUTES_PART];
    const uint32_t here = load_part(choices, count, part);
    for (uint32_t expert = threadIdx.x; expert < experts; expert += ROW_THREADS) {
        uint32_t own = 0;
#pragma unroll 4
        for (uint32_t i = 0; i < here; i++)
            own += part[i] == expert;
        counts[(size_t)blockIdx.x * experts + expert] = own;
    }
}

/* Where an expert's choices begin among the grouped ones, and where those of each part do. One block. */
__global__ void begin_kernel(const uint32_t *__restrict__ counts, uint32_t parts, uint32_t experts,
                             uint32_t *__restrict__ starts, uint32_t *begins)
{
    __shared__ uint32_t sums[SCORE_ROUTES_EXPERTS];
    for (uint32_t expert = threadIdx.x; expert < experts; expert += ROW_THREADS) {
        uint32_t sum = 0;
#pragma unroll 8
        for (uint32_t i = 0; i < parts; i++)
            sum += counts[(size_t)i * experts + expert];
        sums[expert] = sum;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        uint32_t begin = 0;
        for (uint32_t expert = 0; expert < experts; expert++) {
            const uint32_t own = sums[expert];
            begins[expert] = sums[expert] = begin;
            begin += own;
        }
        begins[experts] = begin;
    }
    __syncthreads();
    for (uint32_t expert = threadIdx.x; expert < experts; expert += ROW_THREADS) {
        uint32_t start = sums[expert];
#pragma unroll 8
        for (uint32_t i = 0; i < parts; i++) {
            starts[(size_t)i * experts + expert] = start;
            start += counts[(size_t)i * experts + expert];
        }
    }
}

/* Each choice gets its place among the grouped ones, and the place its input. */
__global__ void place_kernel(const uint32_t *choices, uint32_t count, uint32_t experts, uint32_t per_input,
                             const uint32_t *starts, uint32_t *places, uint32_t *inputs)
{
    __shared__ uint32_t part[SCORE_ROUTES_PART];
    const uint32_t first = blockIdx.x * SCORE_ROUTES_PART, here = load_part(choices, count, part);
    for (uint32_t expert = threadIdx.x; expert < experts; expert += ROW_THREADS) {
        uint32_t place = starts[(size_t)blockIdx.x * experts + expert];
        for (uint32_t i = 0; i < here; i++) {
            if (part[i] != expert)
                continue;
            places[first + i] = place;
            inputs[place++] = (first + i) / per_input;
        }
    }
}

/* hidden[row] += weight * answer, choice by choice. A block per row, V elements at once. */
template <int V>
__global__ void answer_kernel(const float *__restrict__ answers, const uint32_t *places, const float *weights,
                              uint32_t per_input, uint32_t width, float *__restrict__ hidden)
{
    places += (size_t)blockIdx.x * per_input;
    weights += (size_t)blockIdx.x * per_input;
    auto *to = (vector_of<float, V> *)(hidden + (size_t)blockIdx.x * width);
    for (uint32_t i = threadIdx.x; i < width / V; i += ROW_THREADS) {
        vector_of<float, V> sum = to[i];
#pragma unroll 4
        for (uint32_t k = 0; k < per_input; k++) {
            const auto answer = ((const vector_of<float, V> *)(answers + (size_t)places[k] * width))[i];
#pragma unroll
            for (int j = 0; j < V; j++)
                sum.at[j] += weights[k] * answer.at[j];
        }
        to[i] = sum;
    }
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t score_launch_choose(const float *logits, int is_normalised,
                                           const struct score_routes *routes, cudaStream_t stream)
{
    choose_kernel<<<blocks_for(routes->rows, ROW_WARPS), ROW_THREADS, 0, stream>>>(
        logits, routes->rows, routes->experts, routes->per_input, is_normalised, routes->choices,
        routes->weights);
    return cudaGetLastError();
}

extern "C" cudaError_t score_launch_choose_by_sigmoid(const float *logits, const float *bias,
                                                      int is_normalised, float least, float scale,
                                                      const struct score_routes *routes, cudaStream_t stream)
{
    choose_by_sigmoid_kernel<<<blocks_for(routes->rows, ROW_WARPS), ROW_THREADS, 0, stream>>>(
        logits, bias, routes->rows, routes->experts, routes->per_input, is_normalised, least, scale,
        routes->choices, routes->weights);
    return cudaGetLastError();
}

extern "C" cudaError_t score_launch_group(const struct score_routes *routes, cudaStream_t stream)
{
    const uint32_t count = routes->rows * routes->per_input, experts = routes->experts;
    const uint32_t parts = (uint32_t)score_routes_parts(count);
    count_kernel<<<parts, ROW_THREADS, 0, stream>>>(routes->choices, count, experts, routes->counts);
    cudaError_t status = cudaGetLastError();
    if (status != cudaSuccess)
        return status;
    begin_kernel<<<1, ROW_THREADS, 0, stream>>>(routes->counts, parts, experts, routes->starts,
                                                routes->begins);
    if ((status = cudaGetLastError()) != cudaSuccess)
        return status;
    place_kernel<<<parts, ROW_THREADS, 0, stream>>>(routes->choices, count, experts, routes->per_input,
                                                    routes->starts, routes->places, routes->inputs);
    return cudaGetLastError();
}

extern "C" cudaError_t score_launch_answer(const float *answers, const struct score_routes *routes,
                                           uint32_t width, float *hidden, cudaStream_t stream)
{
    if (width % 4)
        answer_kernel<1><<<routes->rows, ROW_THREADS, 0, stream>>>(answers, routes->places, routes->weights,
                                                                   routes->per_input, width, hidden);
    else
        answer_kernel<4><<<routes->rows, ROW_THREADS, 0, stream>>>(answers, routes->places, routes->weights,
                                                                   routes->per_input, width, hidden);
    return cudaGetLastError();
}
