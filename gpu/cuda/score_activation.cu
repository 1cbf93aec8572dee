/*
 * The activation of the MLP, or of its gate, in place; what is cut to a limit. Memory is the bound, so the
 * functions of 16-bit results are made of instructions that are fast and near enough.
 */
#include "gpu/cuda/score_device.cuh"
#include "gpu/cuda/score_mma.cuh"

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* The numbers are enum score_activation. For float32. */
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
    if (ACTIVATION == 4)
        return x < 0.0F ? 0.0F : x * x;
    return x / (1.0F + expf(-x));
}

/* log2 of the normal distribution below -x, for x >= 0: a polynomial with the least largest error up to 5.6,
 * 3.2e-6 / ln 2; beyond, as far as 2^x is a number, it falls on. */
static __device__ __forceinline__ float log2_tail(float x)
{
    float y = -1.809680978e-6F;
    y = y * x + 6.117316742e-5F;
    y = y * x - 9.277494725e-4F;
    y = y * x + 8.499097967e-3F;
    y = y * x - 5.394614499e-2F;
    y = y * x - 4.584745481e-1F;
    y = y * x - 1.151248365F;
    return y * x - 9.999954152e-1F;
}

/* For 16-bit results, where erfcf would take longer than the memory: GELU to 0.007 units in the last place of
 * float16 (3e-6 of its value, 1e-12 where that is subnormal; infinities as the product with 0 or 1 has them),
 * beside the rounding itself. */
template <int ACTIVATION> static __device__ __forceinline__ float near_activation_of(float x)
{
    if (ACTIVATION == 0) {
        const float tail = exp2_near(log2_tail(fabsf(x)));
        return x * (x > 0.0F ? 1.0F - tail : tail);
    }
    if (ACTIVATION == 1)
        return __fdividef(x, 1.0F + exp2_near(-2.3022082F * (x + 0.044715F * x * x * x)));
    if (ACTIVATION == 3)
        return __fdividef(x, 1.0F + exp2_near(-1.44269504F * x));
    return activation_of<ACTIVATION>(x);
}

/* activation(gate) * up, rounded once. */
template <typename T, int ACTIVATION>
static __device__ __forceinline__ vector_of<T, 16 / sizeof(T)> gated(vector_of<T, 16 / sizeof(T)> gate,
                                                                     const vector_of<T, 16 / sizeof(T)> &up)
{
#pragma unroll
    for (int j = 0; j < (int)(16 / sizeof(T)); j++) {
        const float x = to_float(gate.at[j]);
        const float y = sizeof(T) == 2 ? near_activation_of<ACTIVATION>(x) : activation_of<ACTIVATION>(x);
        gate.at[j] = from_float<T>(y * to_float(up.at[j]));
    }
    return gate;
}

template <typename T, int ACTIVATION>
static __device__ __forceinline__ vector_of<T, 16 / sizeof(T)> activated(vector_of<T, 16 / sizeof(T)> v)
{
#pragma unroll
    for (int j = 0; j < (int)(16 / sizeof(T)); j++) {
        const float x = to_float(v.at[j]);
        v.at[j] =
            from_float<T>(sizeof(T) == 2 ? near_activation_of<ACTIVATION>(x) : activation_of<ACTIVATION>(x));
    }
    return v;
}

/* Two vectors per thread, both of which are read before one is written. `count` vectors in all, `vectors` of
 * each row. */
template <typename T, int ACTIVATION>
__global__ void activate_kernel(T *x, uint32_t count, uint32_t vectors, uint64_t stride)
{
    constexpr int n = 16 / sizeof(T);
    const uint32_t first = blockIdx.x * 2 * ROW_THREADS + threadIdx.x, second = first + ROW_THREADS;
    const auto place = [&](uint32_t i) {
        return (vector_of<T, n> *)(x + i / vectors * stride) + i % vectors;
    };
    vector_of<T, n> a = {}, b = {};
    if (first < count)
        a = *place(first);
    if (second < count)
        b = *place(second);
    if (first < count)
        *place(first) = activated<T, ACTIVATION>(a);
    if (second < count)
        *place(second) = activated<T, ACTIVATION>(b);
}

/* Rows of any width: one per block. */
template <typename T, int ACTIVATION>
__global__ void activate_any_kernel(T *x, uint32_t width, uint64_t stride)
{
    vector_of<T, 16 / sizeof(T)> one = {};
    x += blockIdx.x * stride;
    for (uint32_t i = threadIdx.x; i < width; i += ROW_THREADS) {
        one.at[0] = x[i];
        x[i] = activated<T, ACTIVATION>(one).at[0];
    }
}

/* The gate, activated, times what goes up: a vector of each per thread. `count` vectors in all, `vectors` of
 * each row of either. */
template <typename T, int ACTIVATION>
__global__ void gate_kernel(T *x, uint32_t count, uint32_t vectors, uint64_t stride)
{
    constexpr int n = 16 / sizeof(T);
    const uint32_t i = blockIdx.x * ROW_THREADS + threadIdx.x;
    if (i >= count)
        return; // guard
    auto *place = (vector_of<T, n> *)(x + i / vectors * stride) + i % vectors;
    const vector_of<T, n> gate = *place, up = place[vectors];
    *place = gated<T, ACTIVATION>(gate, up);
}

/* Rows of any width: one per block. */
template <typename T, int ACTIVATION> __global__ void gate_any_kernel(T *x, uint32_t width, uint64_t stride)
{
    vector_of<T, 16 / sizeof(T)> gate = {}, up = {};
    x += blockIdx.x * stride;
    for (uint32_t i = threadIdx.x; i < width; i += ROW_THREADS) {
        gate.at[0] = x[i];
        up.at[0] = x[width + i];
        x[i] = gated<T, ACTIVATION>(gate, up).at[0];
    }
}

/* A vector per thread; NaN stays what it is. */
template <typename T, int V> __global__ void cut_kernel(T *x, uint64_t count, float limit)
{
    const uint64_t i = (uint64_t)blockIdx.x * ROW_THREADS + threadIdx.x;
    if (i >= count)
        return; // guard
    vector_of<T, V> v = ((vector_of<T, V> *)x)[i];
#pragma unroll
    for (int j = 0; j < V; j++) {
        const float one = to_float(v.at[j]);
        v.at[j] = from_float<T>(one > limit ? limit : one < -limit ? -limit : one);
    }
    ((vector_of<T, V> *)x)[i] = v;
}

/* xIELU (gpu/score_xielu.h), also of 16-bit elements in the precision of float32: near 0, where exp(x) - 1 -
 * x is a difference of near numbers, an approximation would not do. NaN stays what it is, and an epsilon that
 * is NaN makes one, which fminf would pass over. */
static __device__ __forceinline__ float xielu_of(const struct score_xielu &numbers, float x)
{
    if (x > 0.0F)
        return numbers.positive * x * x + numbers.beta * x;
    const float below = x < numbers.epsilon ? x : numbers.epsilon;
    return (expm1f(below) - x) * numbers.negative + numbers.beta * x;
}

/* A vector per thread; blocks of a row side by side in y. `vectors` of each row. */
template <typename T, int V>
__global__ void xielu_kernel(T *x, uint32_t vectors, uint64_t stride, struct score_xielu numbers)
{
    const uint32_t i = blockIdx.y * ROW_THREADS + threadIdx.x;
    if (i >= vectors)
        return; // guard
    auto *place = (vector_of<T, V> *)(x + blockIdx.x * stride) + i;
    vector_of<T, V> v = *place;
#pragma unroll
    for (int j = 0; j < V; j++)
        v.at[j] = from_float<T>(xielu_of(numbers, to_float(v.at[j])));
    *place = v;
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

template <typename T, int ACTIVATION>
static cudaError_t activate_as(void *x, uint32_t rows, uint32_t width, uint64_t stride, cudaStream_t stream)
{
    constexpr uint32_t n = 16 / sizeof(T);
    const uint64_t count = (uint64_t)rows * (width / n);
    if (width % n || stride % n || count + 2 * ROW_THREADS > UINT32_MAX)
        activate_any_kernel<T, ACTIVATION><<<rows, ROW_THREADS, 0, stream>>>((T *)x, width, stride);
    else
        activate_kernel<T, ACTIVATION><<<blocks_for(count, 2 * ROW_THREADS), ROW_THREADS, 0, stream>>>(
            (T *)x, (uint32_t)count, width / n, stride);
    return cudaGetLastError();
}

template <typename T, int ACTIVATION>
static cudaError_t gate_as(void *x, uint32_t rows, uint32_t width, uint64_t stride, cudaStream_t stream)
{
    constexpr uint32_t n = 16 / sizeof(T);
    const uint64_t count = (uint64_t)rows * (width / n);
    if (width % n || stride % n || count + ROW_THREADS > UINT32_MAX)
        gate_any_kernel<T, ACTIVATION><<<rows, ROW_THREADS, 0, stream>>>((T *)x, width, stride);
    else
        gate_kernel<T, ACTIVATION><<<blocks_for(count, ROW_THREADS), ROW_THREADS, 0, stream>>>(
            (T *)x, (uint32_t)count, width / n, stride);
    return cudaGetLastError();
}

/* The function of an element type's kernels, for the arguments that all wrappers here have. */
#define BY_ACTIVATION(FUNCTION, T)                                                                           \
    (activation == 0   ? FUNCTION<T, 0>                                                                      \
     : activation == 1 ? FUNCTION<T, 1>                                                                      \
     : activation == 2 ? FUNCTION<T, 2>                                                                      \
     : activation == 3 ? FUNCTION<T, 3>                                                                      \
                       : FUNCTION<T, 4>)(x, rows, width, stride, stream)

template <typename T> static cudaError_t cut(void *x, uint64_t count, float limit, cudaStream_t stream)
{
    constexpr int n = 16 / sizeof(T);
    if (count % n)
        cut_kernel<T, 1><<<blocks_for(count, ROW_THREADS), ROW_THREADS, 0, stream>>>((T *)x, count, limit);
    else
        cut_kernel<T, n>
            <<<blocks_for(count / n, ROW_THREADS), ROW_THREADS, 0, stream>>>((T *)x, count / n, limit);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t xielu(const struct score_xielu &numbers, void *x, uint32_t rows, uint32_t width,
                         uint64_t stride, cudaStream_t stream)
{
    constexpr uint32_t n = 16 / sizeof(T);
    const bool is_whole = width % n == 0 && stride % n == 0;
    const uint32_t vectors = is_whole ? width / n : width;
    const dim3 grid(rows, blocks_for(vectors, ROW_THREADS));
    if (is_whole)
        xielu_kernel<T, n><<<grid, ROW_THREADS, 0, stream>>>((T *)x, vectors, stride, numbers);
    else
        xielu_kernel<T, 1><<<grid, ROW_THREADS, 0, stream>>>((T *)x, vectors, stride, numbers);
    return cudaGetLastError();
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t score_launch_activate(enum score_type type, int activation, void *x, uint32_t rows,
                                             uint32_t width, uint64_t stride, cudaStream_t stream)
{
#define CALL(T) BY_ACTIVATION(activate_as, T)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_gate(enum score_type type, int activation, void *x, uint32_t rows,
                                         uint32_t width, uint64_t stride, cudaStream_t stream)
{
#define CALL(T) BY_ACTIVATION(gate_as, T)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_cut(enum score_type type, void *x, uint64_t count, float limit,
                                        cudaStream_t stream)
{
#define CALL(T) cut<T>(x, count, limit, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}

extern "C" cudaError_t score_launch_xielu(enum score_type type, const struct score_xielu *numbers, void *x,
                                          uint32_t rows, uint32_t width, uint64_t stride, cudaStream_t stream)
{
#define CALL(T) xielu<T>(*numbers, x, rows, width, stride, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}
