/*
 * The sums of the second pass, in float64: which team of blocks forms which of them, the central moments of
 * each column, and the displacement against a reference.
 */
#ifndef BIFURCATED_GPU_CUDA_STATISTICS_SUMS_CUH
#define BIFURCATED_GPU_CUDA_STATISTICS_SUMS_CUH

#include "gpu/cuda/statistics_device.cuh"

#define WARPS (STATISTICS_SECOND_THREADS / 32)
#define ROWS_DUTY 16U /* of a thread, between one duty of a team and the other */

/* -- Teams -- */

/* Neighbouring blocks walk over the same items: one team for each row set (without padding the second one
 * only helps), and in each team a block for every slice of the codes, of which the first has the sums. A team
 * has two duties, in turns of a few rows, and with the other team it is the other way round: both have the
 * same work, so they stay close to each other, and what the second one reads is still in the L2. */
struct role {
    uint32_t count, set, slice; /* set 0: all rows, 1: tokens */
    bool has_padding;

    __device__ __forceinline__ role(const statistics_grid &grid, const statistics_second &pass)
        : has_padding(grid.parts[1] != 0)
    {
        count = has_teams(grid, pass) ? STATISTICS_TEAMS * grid.slices : grid.slices;
        set = blockIdx.x % count / grid.slices;
        slice = blockIdx.x % grid.slices;
    }
    __device__ __forceinline__ bool is_counting(int segment) const
    {
        return set == 0 || (has_padding && segment == 0);
    }
    /* Whether the team takes the moments of the thread's row, and not the last reference. */
    __device__ __forceinline__ bool is_first(uint32_t row) const
    {
        return has_padding ? (row / ROWS_DUTY + set) % 2 == 0 : set == 0;
    }
};

/* -- Moments -- */

struct moments {
    double m2, m3, m4;

    __device__ __forceinline__ void add(double difference)
    {
        const double square = difference * difference;
        m2 += square;
        m3 += square * difference;
        m4 += square * square;
    }
};

/* Of the rows whose moments are the team's: column j of the thread's vector, finite elements alone. */
template <int KIND>
static __device__ __forceinline__ moments moments_finite(const statistics_grid &grid,
                                                         const statistics_second &pass, const item &at,
                                                         const role &mine, uint32_t j, double mean)
{
    moments sums = {0, 0, 0};
    item_rows<8> rows(grid, at, element<KIND>::bytes, pass.data);
#pragma unroll 1
    for (uint32_t row = 0; row < at.rows; row++) {
        const uint4 vector = rows.next();
        if (mine.is_first(row) && element<KIND>::is_finite(vector, j))
            sums.add(element<KIND>::wide(vector, j) - mean);
    }
    return sums;
}

/* Ends an item for one of the moments, the one of this number. */
template <uint32_t VECTOR>
static __device__ __forceinline__ void
moments_store(const statistics_grid &grid, const statistics_second &pass, const item &at, const role &mine,
              const moments (&sums)[VECTOR], double moments::*which, uint32_t number, double *room)
{
    double *to = pass.sums + ((at.part * STATISTICS_TEAMS + mine.set) * 3 + number) * grid.columns;
    double own[VECTOR];
#pragma unroll
    for (uint32_t j = 0; j < VECTOR; j++)
        own[j] = sums[j].*which;
    lines_sum(at, room, own, [&](uint32_t j, uint32_t lane, double sum) {
        const uint64_t column = at.tile_column + lane * VECTOR + j;
        if (column < grid.columns)
            to[column] = sum;
    });
}

template <int KIND, uint32_t SIZE>
static __device__ __forceinline__ void
moments_end(const statistics_grid &grid, const statistics_second &pass, const item &at, const role &mine,
            const double (&means)[SIZE], moments (&sums)[SIZE], double *room)
{
#pragma unroll
    for (uint32_t j = 0; j < SIZE; j++)
        if (!isfinite(sums[j].m4))
            sums[j] = moments_finite<KIND>(grid, pass, at, mine, j, means[j]);
    moments_store(grid, pass, at, mine, sums, &moments::m2, 0, room);
    moments_store(grid, pass, at, mine, sums, &moments::m3, 1, room);
    moments_store(grid, pass, at, mine, sums, &moments::m4, 2, room);
}

/* -- Displacements -- */

/* The sums of a reference. The matrix' own norm follows from the counts of the first pass, but for float32,
 * whose codes are intervals. */
template <int KIND> struct displacement {
    double squared = 0, norm = 0, reference_norm = 0;

    __device__ __forceinline__ void add(double w, double r)
    {
        squared += (w - r) * (w - r);
        reference_norm += r * r;
        if (KIND == STATISTICS_KIND_F32)
            norm += w * w;
    }
    /* Adds them to those of the thread's warp. */
    __device__ __forceinline__ void store(statistics_sums &to) const
    {
        const statistics_sums sums = {warp_sum(squared), warp_sum(norm), warp_sum(reference_norm)};
        if (threadIdx.x % 32)
            return;
        to.squared += sums.squared;
        to.norm += sums.norm;
        to.reference_norm += sums.reference_norm;
    }
};

/* Ends a segment: the sums of the block's warps, in order, go to device memory, in the place of what is there
 * where the block comes back to it (statistics_grid_comes_back). */
static __device__ __forceinline__ void displacements_store(const statistics_second &pass, int segment,
                                                           statistics_sums (*warps)[2])
{
    __syncthreads();
    if (threadIdx.x < 2) {
        statistics_sums sums = {0, 0, 0};
        for (uint32_t warp = 0; warp < WARPS; warp++) {
            statistics_sums &from = warps[warp][threadIdx.x];
            sums.squared += from.squared;
            sums.norm += from.norm;
            sums.reference_norm += from.reference_norm;
            from = {0, 0, 0};
        }
        pass.partials[((size_t)blockIdx.x * STATISTICS_SEGMENTS + (size_t)segment) * 2 + threadIdx.x] = sums;
    }
    __syncthreads();
}

#endif
