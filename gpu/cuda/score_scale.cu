/*
 * A factor for all elements of a residual stream: the multiplier of an embedding.
 */
#include "gpu/cuda/score_device.cuh"

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

__global__ void scale_kernel(float *x, uint64_t count, float factor)
{
    const uint64_t i = (uint64_t)blockIdx.x * ROW_THREADS + threadIdx.x;
    if (i < count)
        x[i] *= factor;
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t score_launch_scale(float *x, uint64_t count, float factor, cudaStream_t stream)
{
    scale_kernel<<<blocks_for(count, ROW_THREADS), ROW_THREADS, 0, stream>>>(x, count, factor);
    return cudaGetLastError();
}
