/*
 * After each pass: what its parts have is added up, in order.
 */
#include "gpu/cuda/statistics_device.cuh"

#define JOIN_COLUMNS 32U /* of a block that joins parts */
#define JOIN_GROUPS 4U   /* of parts, for each column */
#define JOIN_AHEAD 8U    /* parts that a thread of a join reads at once */

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* The parts of a segment, blockIdx.y, that a group of a join adds up. */
struct join_parts {
    uint64_t first, end;

    __device__ __forceinline__ join_parts(const statistics_grid &grid, uint32_t group)
    {
        const uint64_t begin = blockIdx.y ? grid.parts[0] : 0,
                       count = blockIdx.y ? grid.parts[1] : grid.parts[0];
        const uint64_t run = (count + JOIN_GROUPS - 1) / JOIN_GROUPS;
        first = begin + group * run;
        end = first + run < begin + count ? first + run : begin + count;
    }
};

/* A sum of float64 with about twice its digits. */
struct wide_sum {
    double high, low;

    /* Two-sum (Knuth); the intrinsics keep the compiler from fusing or reordering. */
    __device__ __forceinline__ void add(double addend)
    {
        const double total = __dadd_rn(high, addend), share = __dsub_rn(total, high);
        low = __dadd_rn(low, __dadd_rn(__dsub_rn(high, __dsub_rn(total, share)), __dsub_rn(addend, share)));
        high = total;
    }
};

/* JOIN_GROUPS threads for each column take a run of a segment's parts each; the first one adds up what they
 * have. */
__global__ void __launch_bounds__(JOIN_COLUMNS *JOIN_GROUPS)
    statistics_join_first_kernel(const statistics_grid grid, const double *sums, const uint32_t *not_finite,
                                 double *high, double *low, unsigned long long *totals)
{
    __shared__ wide_sum shares[JOIN_GROUPS][JOIN_COLUMNS];
    __shared__ unsigned long long absent[JOIN_GROUPS][JOIN_COLUMNS];
    const uint32_t lane = threadIdx.x % JOIN_COLUMNS, group = threadIdx.x / JOIN_COLUMNS;
    const uint64_t column = (uint64_t)blockIdx.x * JOIN_COLUMNS + lane;
    const join_parts parts(grid, group);
    wide_sum sum = {0, 0};
    unsigned long long missing = 0;
    for (uint64_t part = parts.first; column < grid.columns && part < parts.end; part += JOIN_AHEAD) {
        double addends[JOIN_AHEAD];
#pragma unroll
        for (uint32_t i = 0; i < JOIN_AHEAD; i++) { /* so many loads at once */
            const bool is_part = part + i < parts.end;
            addends[i] = is_part ? sums[(part + i) * grid.columns + column] : 0.0;
            missing += is_part ? not_finite[(part + i) * grid.columns + column] : 0;
        }
#pragma unroll
        for (uint32_t i = 0; i < JOIN_AHEAD; i++)
            sum.add(addends[i]);
    }
    shares[group][lane] = sum;
    absent[group][lane] = missing;
    __syncthreads();
    if (group != 0 || column >= grid.columns)
        return; // guard
    for (uint32_t other = 1; other < JOIN_GROUPS; other++) {
        sum.add(shares[other][lane].high);
        sum.low = __dadd_rn(sum.low, shares[other][lane].low);
        missing += absent[other][lane];
    }
    high[(uint64_t)blockIdx.y * grid.columns + column] = sum.high;
    low[(uint64_t)blockIdx.y * grid.columns + column] = sum.low;
    totals[(uint64_t)blockIdx.y * grid.columns + column] = missing;
}

/* As statistics_join_first_kernel; the teams' sums of a part follow each other. */
__global__ void __launch_bounds__(JOIN_COLUMNS *JOIN_GROUPS)
    statistics_join_second_kernel(const statistics_grid grid, const double *sums, uint32_t teams,
                                  double *joined)
{
    __shared__ double shares[JOIN_GROUPS][JOIN_COLUMNS];
    const uint32_t lane = threadIdx.x % JOIN_COLUMNS, group = threadIdx.x / JOIN_COLUMNS;
    const uint64_t places = 3 * grid.columns, place = (uint64_t)blockIdx.x * JOIN_COLUMNS + lane;
    const join_parts parts(grid, group);
    double sum = 0;
    for (uint64_t part = parts.first; place < places && part < parts.end; part += JOIN_AHEAD) {
        double addends[JOIN_AHEAD][STATISTICS_TEAMS];
#pragma unroll
        for (uint32_t i = 0; i < JOIN_AHEAD; i++)
#pragma unroll
            for (uint32_t team = 0; team < STATISTICS_TEAMS; team++) /* so many loads at once */
                addends[i][team] = part + i < parts.end && team < teams
                                       ? sums[((part + i) * STATISTICS_TEAMS + team) * places + place]
                                       : 0.0;
#pragma unroll
        for (uint32_t i = 0; i < JOIN_AHEAD; i++)
#pragma unroll
            for (uint32_t team = 0; team < STATISTICS_TEAMS; team++)
                sum += addends[i][team];
    }
    shares[group][lane] = sum;
    __syncthreads();
    if (group != 0 || place >= places)
        return; // guard
    for (uint32_t other = 1; other < JOIN_GROUPS; other++)
        sum += shares[other][lane];
    joined[(uint64_t)blockIdx.y * places + place] = sum;
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

static dim3 join_blocks(uint64_t columns)
{
    return dim3((unsigned)((columns + JOIN_COLUMNS - 1) / JOIN_COLUMNS), STATISTICS_SEGMENTS);
}

extern "C" cudaError_t statistics_launch_join_first(const struct statistics_grid *grid, const double *sums,
                                                    const uint32_t *not_finite, double *high, double *low,
                                                    unsigned long long *totals, cudaStream_t stream)
{
    const dim3 blocks = join_blocks(grid->columns);
    statistics_join_first_kernel<<<blocks, JOIN_COLUMNS * JOIN_GROUPS, 0, stream>>>(*grid, sums, not_finite,
                                                                                    high, low, totals);
    return cudaGetLastError();
}

extern "C" cudaError_t statistics_launch_join_second(const struct statistics_grid *grid,
                                                     const struct statistics_second *pass, double *joined,
                                                     cudaStream_t stream)
{
    statistics_join_second_kernel<<<join_blocks(3 * grid->columns), JOIN_COLUMNS * JOIN_GROUPS, 0, stream>>>(
        *grid, pass->sums, has_teams(*grid, *pass) ? STATISTICS_TEAMS : 1, joined);
    return cudaGetLastError();
}
