/*
 * Displacements where an element is not finite, or where the second pass has not all of them: its sums,
 * formed again over the pairs in which both are finite. Hardly any tensor needs it, so it is simple rather
 * than fast.
 */
#include "gpu/cuda/statistics_device.cuh"

#define THREADS STATISTICS_PAIRS_THREADS

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* One element in the place of a vector's first one. */
template <int KIND> static __device__ __forceinline__ uint4 alone(const void *data, uint64_t offset_bytes)
{
    const unsigned char *at = (const unsigned char *)data + offset_bytes;
    const uint32_t bits =
        element<KIND>::bytes == 4 ? *(const uint32_t *)at : (uint32_t) * (const unsigned short *)at;
    return make_uint4(bits, 0, 0, 0);
}

/* Each block takes every gridDim.x-th row of a segment, against one reference. */
template <int KIND>
__global__ void __launch_bounds__(THREADS)
    statistics_pairs_kernel(const statistics_grid grid, const statistics_pairs pass)
{
    using E = element<KIND>;
    __shared__ statistics_pair_sums warps[THREADS / 32];
    const uint32_t segment = blockIdx.y;
    const uint64_t first = segment ? grid.token_rows : 0, end = segment ? grid.rows : grid.token_rows;
    statistics_pair_sums sums = {{0, 0, 0}, 0};
    for (uint64_t row = first + blockIdx.x; row < end; row += gridDim.x)
        for (uint64_t column = threadIdx.x; column < grid.columns; column += THREADS) {
            const uint64_t offset = row * grid.pitch_bytes + column * E::bytes;
            const uint4 a = alone<KIND>(pass.data, offset), b = alone<KIND>(pass.reference, offset);
            if (!E::is_finite(a, 0) || !E::is_finite(b, 0))
                continue;
            const double w = E::wide(a, 0), r = E::wide(b, 0);
            sums.sums.squared += (w - r) * (w - r);
            sums.sums.norm += w * w;
            sums.sums.reference_norm += r * r;
            sums.pairs++;
        }
    sums = {{warp_sum(sums.sums.squared), warp_sum(sums.sums.norm), warp_sum(sums.sums.reference_norm)},
            warp_sum(sums.pairs)};
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = sums;
    __syncthreads();
    if (threadIdx.x != 0)
        return; // guard
    for (uint32_t warp = 1; warp < THREADS / 32; warp++) {
        sums.sums.squared += warps[warp].sums.squared;
        sums.sums.norm += warps[warp].sums.norm;
        sums.sums.reference_norm += warps[warp].sums.reference_norm;
        sums.pairs += warps[warp].pairs;
    }
    pass.partials[(size_t)blockIdx.x * STATISTICS_SEGMENTS + segment] = sums;
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t statistics_launch_pairs(const struct statistics_grid *grid,
                                               const struct statistics_pairs *pass, cudaStream_t stream)
{
    const dim3 blocks(grid->block_count, STATISTICS_SEGMENTS);
    if (grid->kind == STATISTICS_KIND_F16)
        statistics_pairs_kernel<STATISTICS_KIND_F16><<<blocks, THREADS, 0, stream>>>(*grid, *pass);
    else if (grid->kind == STATISTICS_KIND_BF16)
        statistics_pairs_kernel<STATISTICS_KIND_BF16><<<blocks, THREADS, 0, stream>>>(*grid, *pass);
    else
        statistics_pairs_kernel<STATISTICS_KIND_F32><<<blocks, THREADS, 0, stream>>>(*grid, *pass);
    return cudaGetLastError();
}
