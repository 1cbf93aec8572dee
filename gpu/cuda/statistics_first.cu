/*
 * The first pass: counts of codes and column sums.
 */
#include "gpu/cuda/statistics_device.cuh"

#define ROWS_AHEAD 3U
#define ROWS_FAR 2U
#define COLUMNS_AT_ONCE 4U /* of a vector, whose sums are joined */

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* Zeros and extremes of float32, whose codes are intervals; ordered bits. */
struct seen_values {
    unsigned long long zero_count;
    uint32_t lowest, highest;
};

static __device__ __forceinline__ void see(seen_values &seen, uint32_t bits)
{
    const bool is_zero = (bits & 0x7fffffffU) == 0;
    const uint32_t plain = is_zero ? 0 : bits;
    const uint32_t order = plain & 0x80000000U ? ~plain : plain | 0x80000000U;
    seen.zero_count += is_zero;
    seen.lowest = order < seen.lowest ? order : seen.lowest;
    seen.highest = order > seen.highest ? order : seen.highest;
}

/* Ends a segment. */
static __device__ __forceinline__ void seen_store(seen_values &seen, statistics_seen *to)
{
    const uint32_t lowest = __reduce_min_sync(0xffffffffU, seen.lowest);
    const uint32_t highest = __reduce_max_sync(0xffffffffU, seen.highest);
    const unsigned long long zero_count = warp_sum(seen.zero_count);
    if (threadIdx.x % 32 == 0) {
        atomicMin(&to->lowest, lowest);
        atomicMax(&to->highest, highest);
        atomicAdd(&to->zero_count, zero_count);
    }
    seen = {0, 0xffffffffU, 0};
}

/* The sum of the finite elements of column j of the thread's vector, and how many are not. */
template <int KIND>
static __device__ __forceinline__ void sum_finite(item_rows<16> rows, uint32_t j, double &sum,
                                                  uint32_t &not_finite)
{
    sum = 0;
    not_finite = 0;
#pragma unroll 1
    for (uint32_t row = 0; row < rows.count; row++) {
        const uint4 vector = rows.next();
        if (element<KIND>::is_finite(vector, j))
            sum += element<KIND>::wide(vector, j);
        else
            not_finite++;
    }
}

/* Ends an item. */
template <uint32_t VECTOR>
static __device__ __forceinline__ void sums_store(const statistics_grid &grid, const statistics_first &pass,
                                                  const item &at, const double (&sums)[VECTOR],
                                                  const uint32_t (&not_finite)[VECTOR], double *room)
{
    const uint64_t row = at.part * grid.columns;
#pragma unroll
    for (uint32_t first = 0; first < VECTOR; first += COLUMNS_AT_ONCE) {
        double some[COLUMNS_AT_ONCE];
#pragma unroll
        for (uint32_t j = 0; j < COLUMNS_AT_ONCE; j++)
            some[j] = sums[first + j];
        lines_sum(at, room, some, [&](uint32_t j, uint32_t lane, double sum) {
            const uint64_t column = at.tile_column + lane * VECTOR + first + j;
            if (column < grid.columns)
                pass.sums[row + column] = sum;
        });
    }
    lines_sum(at, (uint32_t *)room, not_finite, [&](uint32_t j, uint32_t lane, uint32_t number) {
        const uint64_t column = at.tile_column + lane * VECTOR + j;
        if (column < grid.columns)
            pass.not_finite[row + column] = number;
    });
}

template <int KIND, bool IS_WHOLE>
__global__ void __launch_bounds__(STATISTICS_FIRST_THREADS, 1)
    statistics_first_kernel(const statistics_grid grid, const statistics_first pass)
{
    using E = element<KIND>;
    extern __shared__ uint32_t words[];
    __shared__ double room[COLUMNS_AT_ONCE * STATISTICS_FIRST_THREADS];
    const uint32_t slices = IS_WHOLE ? 1 : 2, slice = blockIdx.x % slices;
    const table<IS_WHOLE> counters = {shared_counters_at(words), slice, grid.table_codes};
    const bool has_sums = slice == 0;
    const uint32_t items = item_count(grid);
    int segment = 0;
    seen_values seen = {0, 0xffffffffU, 0};
    table_clear(counters, words);
    for (uint32_t index = item_first(blockIdx.x / slices); index < items;
         index = item_after(index, gridDim.x / slices)) {
        const item at = item_at<KIND, E::vector>(grid, index, STATISTICS_FIRST_THREADS);
        if (at.is_empty)
            continue;
        if (at.segment != segment) {
            table_flush(counters, words, pass.counts + (size_t)segment * CODES);
            if (KIND == STATISTICS_KIND_F32 && has_sums)
                seen_store(seen, pass.seen + segment);
            segment = at.segment;
        }
        unsigned long long *totals = pass.counts + (size_t)segment * CODES;
        double sums[E::vector] = {};
        item_rows<16> rows(grid, at, E::bytes, pass.data);
        const item_rows<16> again = rows;
        const uint32_t partial = at.columns < E::vector ? ~0U : 0;
        rows.each<ROWS_AHEAD, ROWS_FAR>([&](const uint4 &vector) {
            uint32_t codes[1][E::vector], all = partial;
#pragma unroll
            for (uint32_t j = 0; j < E::vector; j += 2) {
                const uint32_t pair = E::codes(vector, j / 2);
                codes[0][j] = pair & 0xffffU;
                codes[0][j + 1] = pair >> 16;
                all |= pair;
            }
            table_count(counters, codes, all & (LARGE_CODES << 16 | LARGE_CODES), at.columns, totals);
#pragma unroll
            for (uint32_t j = 0; j < E::vector; j++) {
                sums[j] += E::wide(vector, j);
                if (KIND == STATISTICS_KIND_F32 && j < at.columns && E::is_finite(vector, j))
                    see(seen, word_at(vector, j));
            }
        });
        if (!has_sums)
            continue;
        uint32_t not_finite[E::vector] = {};
#pragma unroll
        for (uint32_t j = 0; j < E::vector; j++)
            if (!isfinite(sums[j]))
                sum_finite<KIND>(again, j, sums[j], not_finite[j]);
        sums_store(grid, pass, at, sums, not_finite, room);
    }
    table_flush(counters, words, pass.counts + (size_t)segment * CODES);
    if (KIND == STATISTICS_KIND_F32 && has_sums)
        seen_store(seen, pass.seen + segment);
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

template <int KIND, bool IS_WHOLE>
static cudaError_t launch_sliced(const statistics_grid *grid, const statistics_first *pass,
                                 cudaStream_t stream)
{
    const int bytes = (int)table_bytes(grid, STATISTICS_CODES_BELOW_2);
    cudaError_t status = cudaFuncSetAttribute(statistics_first_kernel<KIND, IS_WHOLE>,
                                              cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (status != cudaSuccess)
        return status;
    statistics_first_kernel<KIND, IS_WHOLE>
        <<<grid->block_count, STATISTICS_FIRST_THREADS, (size_t)bytes, stream>>>(*grid, *pass);
    return cudaGetLastError();
}

template <int KIND>
static cudaError_t launch_first(const statistics_grid *grid, const statistics_first *pass,
                                cudaStream_t stream)
{
    return grid->slices == 1 ? launch_sliced<KIND, true>(grid, pass, stream)
                             : launch_sliced<KIND, false>(grid, pass, stream);
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t statistics_launch_first(const struct statistics_grid *grid,
                                               const struct statistics_first *pass, cudaStream_t stream)
{
    if (grid->kind == STATISTICS_KIND_F16)
        return launch_first<STATISTICS_KIND_F16>(grid, pass, stream);
    if (grid->kind == STATISTICS_KIND_BF16)
        return launch_first<STATISTICS_KIND_BF16>(grid, pass, stream);
    return launch_first<STATISTICS_KIND_F32>(grid, pass, stream);
}
