/*
 * xIELU in place (gpu/score_xielu.h). Also of 16-bit elements in the precision of float32: near 0, where
 * exp(x) - 1 - x is a difference of near numbers, an approximation would not do.
 */
#include "gpu/cuda/score_device.cuh"

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* NaN stays what it is, and an epsilon that is NaN makes one, which fminf would pass over. */
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

extern "C" cudaError_t score_launch_xielu(enum score_type type, const struct score_xielu *numbers, void *x,
                                          uint32_t rows, uint32_t width, uint64_t stride, cudaStream_t stream)
{
#define CALL(T) xielu<T>(*numbers, x, rows, width, stride, stream)
    return SCORE_DISPATCH(type, CALL);
#undef CALL
}
