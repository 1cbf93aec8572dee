/*
 * The first pass: counts of codes, column sums, displacements against up to two references.
 */
#include "gpu/cuda/statistics_device.cuh"

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* What a thread carries from item to item, until its segment ends. */
struct first_sums {
    double squared[2], dot[2], norm[2], reference_norm[2];
    unsigned long long pairs[2];
    unsigned long long zero_count;
    uint32_t lowest, highest;
};

static __device__ __forceinline__ void first_sums_clear(first_sums &sums)
{
    for (int i = 0; i < 2; i++) {
        sums.squared[i] = sums.dot[i] = sums.norm[i] = sums.reference_norm[i] = 0;
        sums.pairs[i] = 0;
    }
    sums.zero_count = 0;
    sums.lowest = 0xffffffffU;
    sums.highest = 0;
}

/* Ends a segment: everything of the block that belongs to it goes to device memory. */
static __device__ __forceinline__ void first_sums_store(first_sums &sums, const statistics_first &pass,
                                                        int segment, double *room, bool is_f32)
{
#pragma unroll /* so that the sums stay in registers */
    for (int i = 0; i < 2; i++) {
        if (i >= pass.reference_count)
            break;
        statistics_partial partial;
        partial.squared = block_sum(room, sums.squared[i]);
        partial.dot = block_sum(room, sums.dot[i]);
        partial.norm = block_sum(room, sums.norm[i]);
        partial.reference_norm = block_sum(room, sums.reference_norm[i]);
        partial.pairs = block_sum((unsigned long long *)room, sums.pairs[i]);
        if (threadIdx.x == 0)
            pass.partials[((size_t)blockIdx.x * STATISTICS_SEGMENTS + (size_t)segment) * 2 + (size_t)i] =
                partial;
    }
    if (is_f32) {
        const uint32_t lowest = __reduce_min_sync(0xffffffffU, sums.lowest);
        const uint32_t highest = __reduce_max_sync(0xffffffffU, sums.highest);
        const unsigned long long zeros = block_sum((unsigned long long *)room, sums.zero_count);
        if (threadIdx.x % 32 == 0) {
            atomicMin(&pass.seen[segment].lowest, lowest);
            atomicMax(&pass.seen[segment].highest, highest);
        }
        if (threadIdx.x == 0)
            atomicAdd(&pass.seen[segment].zero_count, zeros);
    }
    first_sums_clear(sums);
}

/* Zeros and extremes of float32, whose codes are intervals. */
static __device__ __forceinline__ void see(first_sums &sums, uint32_t bits)
{
    const bool is_zero = (bits & 0x7fffffffU) == 0;
    const uint32_t plain = is_zero ? 0 : bits;
    const uint32_t order = plain & 0x80000000U ? ~plain : plain | 0x80000000U;
    sums.zero_count += is_zero;
    sums.lowest = order < sums.lowest ? order : sums.lowest;
    sums.highest = order > sums.highest ? order : sums.highest;
}

static __device__ __forceinline__ void displace(first_sums &sums, int i, double w, double r)
{
    const double difference = w - r;
    sums.squared[i] += difference * difference;
    sums.dot[i] += w * r;
    sums.norm[i] += w * w;
    sums.reference_norm[i] += r * r;
}

template <int KIND>
static __device__ __forceinline__ void
first_vector(const statistics_first &pass, const table &counters, unsigned long long *totals, bool has_sums,
             uint32_t columns, const uint4 &own, const uint4 *references, double *column_sums,
             uint32_t *not_finite, first_sums &sums, uint32_t *pairs)
{
    using E = element<KIND>;
#pragma unroll
    for (uint32_t j = 0; j < E::vector; j++) {
        if (j >= columns)
            continue;
        const uint32_t bits = E::bits(own, j);
        table_count(counters, E::code(bits), totals);
        if (!has_sums)
            continue;
        if (!E::is_finite(bits)) {
            not_finite[j / 4] +=
                1U << (j % 4 * 8); /* four counters to a word: a part has at most 254 rows here */
            continue;
        }
        const double w = (double)E::value(bits);
        column_sums[j] += w;
        if (KIND == STATISTICS_KIND_F32)
            see(sums, bits);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const uint32_t other = E::bits(references[i], j);
            if (i < pass.reference_count && E::is_finite(other)) {
                displace(sums, i, w, (double)E::value(other));
                pairs[i]++;
            }
        }
    }
}

template <int KIND>
__global__ void __launch_bounds__(STATISTICS_THREADS, 1)
    statistics_first_kernel(const statistics_grid grid, const statistics_first pass)
{
    using E = element<KIND>;
    extern __shared__ uint32_t words[];
    __shared__ double room[STATISTICS_THREADS];
    const uint32_t slice = blockIdx.x % grid.slices;
    const table counters = {words, slice * (CODES / grid.slices), CODES / grid.slices};
    const bool has_sums = slice == 0;
    const uint32_t line = threadIdx.x / grid.lanes, step = grid.lines * STATISTICS_UNROLL;
    const uint64_t items = item_count(grid, STATISTICS_SEGMENTS);
    int segment = 0;
    first_sums sums;
    first_sums_clear(sums);
    table_clear(counters);
    for (uint64_t index = blockIdx.x / grid.slices; index < items; index += gridDim.x / grid.slices) {
        const item at = item_at(grid, index, E::vector);
        if (at.segment != segment) {
            table_flush(counters, pass.counts + (size_t)segment * CODES);
            if (has_sums)
                first_sums_store(sums, pass, segment, room, KIND == STATISTICS_KIND_F32);
            segment = at.segment;
        }
        unsigned long long *totals = pass.counts + (size_t)segment * CODES;
        double column_sums[E::vector] = {};
        uint32_t not_finite[2] = {0, 0}, pairs[2] = {0, 0};
        uint4 now[STATISTICS_UNROLL][3], next[STATISTICS_UNROLL][3];
        /* While one group of rows is worked on, the next one is on its way. */
        for (uint64_t base = at.row_begin; base < at.row_end + step; base += step) {
#pragma unroll
            for (uint32_t u = 0; u < STATISTICS_UNROLL; u++) {
                const uint64_t row = base + u * grid.lines + line;
                next[u][0] = load_row(pass.data, grid, at, row, E::bytes);
#pragma unroll
                for (int i = 0; i < 2; i++)
                    next[u][1 + i] = i < pass.reference_count && has_sums
                                         ? load_row(pass.references[i], grid, at, row, E::bytes)
                                         : make_uint4(0, 0, 0, 0);
            }
            if (base > at.row_begin) {
#pragma unroll
                for (uint32_t u = 0; u < STATISTICS_UNROLL; u++) {
                    const bool is_row = base - step + u * grid.lines + line < at.row_end;
                    first_vector<KIND>(pass, counters, totals, has_sums, is_row ? at.columns : 0, now[u][0],
                                       &now[u][1], column_sums, not_finite, sums, pairs);
                }
                __syncthreads(); /* bounds what counters gain between barriers */
            }
#pragma unroll
            for (uint32_t u = 0; u < STATISTICS_UNROLL; u++)
#pragma unroll
                for (int i = 0; i < 3; i++)
                    now[u][i] = next[u][i];
        }
        sums.pairs[0] += pairs[0];
        sums.pairs[1] += pairs[1];
        if (!has_sums)
            continue;
#pragma unroll
        for (uint32_t j = 0; j < E::vector; j++) {
            const double sum = lines_sum(grid, room, column_sums[j]);
            const uint32_t missing =
                lines_sum(grid, (uint32_t *)room, not_finite[j / 4] >> (j % 4 * 8) & 0xffU);
            if (line == 0 && j < at.columns) {
                pass.sums[at.part * grid.columns + at.column + j] = sum;
                pass.not_finite[at.part * grid.columns + at.column + j] = missing;
            }
        }
    }
    table_flush(counters, pass.counts + (size_t)segment * CODES);
    if (has_sums)
        first_sums_store(sums, pass, segment, room, KIND == STATISTICS_KIND_F32);
}

__global__ void statistics_join_first_kernel(const statistics_grid grid, const double *sums,
                                             const uint32_t *not_finite, double *high, double *low,
                                             unsigned long long *totals)
{
    const uint64_t column = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= grid.columns)
        return; // guard
    uint64_t part = 0;
    for (int segment = 0; segment < STATISTICS_SEGMENTS; segment++) {
        const uint64_t end = part + grid.parts[segment];
        double upper = 0, lower = 0;
        unsigned long long missing = 0;
        for (; part < end; part++) {
            /* Two-sum (Knuth); the intrinsics keep the compiler from fusing or reordering. */
            const double addend = sums[part * grid.columns + column];
            const double total = __dadd_rn(upper, addend);
            const double share = __dsub_rn(total, upper);
            lower = __dadd_rn(lower,
                              __dadd_rn(__dsub_rn(upper, __dsub_rn(total, share)), __dsub_rn(addend, share)));
            upper = total;
            missing += not_finite[part * grid.columns + column];
        }
        high[(uint64_t)segment * grid.columns + column] = upper;
        low[(uint64_t)segment * grid.columns + column] = lower;
        totals[(uint64_t)segment * grid.columns + column] = missing;
    }
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

template <int KIND>
static cudaError_t launch_first(const statistics_grid *grid, const statistics_first *pass,
                                cudaStream_t stream)
{
    const int bytes = (int)table_bytes(grid);
    cudaError_t status = cudaFuncSetAttribute(statistics_first_kernel<KIND>,
                                              cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (status != cudaSuccess)
        return status;
    statistics_first_kernel<KIND>
        <<<grid->block_count, STATISTICS_THREADS, (size_t)bytes, stream>>>(*grid, *pass);
    return cudaGetLastError();
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

extern "C" cudaError_t statistics_launch_join_first(const struct statistics_grid *grid, const double *sums,
                                                    const uint32_t *not_finite, double *high, double *low,
                                                    unsigned long long *totals, cudaStream_t stream)
{
    const unsigned blocks = (unsigned)((grid->columns + 127) / 128);
    statistics_join_first_kernel<<<blocks, 128, 0, stream>>>(*grid, sums, not_finite, high, low, totals);
    return cudaGetLastError();
}
