/*
 * The second pass: counts of the centred values, central power sums around the columns' means, displacements
 * against up to two references.
 */
#include "gpu/cuda/statistics_device.cuh"

#define ROWS_AHEAD 4U /* of half vectors */
#define ROWS_FAR 8U
#define ROWS_AHEAD_BESIDE 2U /* of a matrix and its references */
#define ROWS_FAR_BESIDE 6U
#define WARPS (STATISTICS_SECOND_THREADS / 32)

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* What counting needs of a block, and of the set of rows that it counts for. */
template <bool IS_WHOLE> struct team {
    table<IS_WHOLE> counters;
    unsigned long long *totals;
    const float *centres;
    float scale;
};

/* How the values of the SIZE columns of a thread are centred and counted. */
template <bool IS_WHOLE, uint32_t SIZE> struct centring {
    float shifts[SIZE];
    uint32_t columns;

    __device__ __forceinline__ centring(const team<IS_WHOLE> &own, const item &at) : columns(at.columns)
    {
#pragma unroll
        for (uint32_t j = 0; j < SIZE; j++)
            shifts[j] = j < columns ? -own.centres[at.column + j] : 0.0F;
    }
    /* float16 codes of the centred values of columns j and j + 1. A scale is a power of two: its product is
     * exact, and the fused operation rounds once, as the definition does. */
    __device__ __forceinline__ uint32_t codes(const team<IS_WHOLE> &own, float first, float second,
                                              uint32_t j) const
    {
        const __half2 pair =
            __floats2half2_rn(fmaf(first, own.scale, shifts[j]), fmaf(second, own.scale, shifts[j + 1]));
        return *(const uint32_t *)&pair;
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

/* Column j of the thread's vector, finite elements alone. */
template <int KIND>
static __device__ __forceinline__ moments moments_finite(item_rows<1, 8> rows, uint32_t j, double mean)
{
    moments sums = {0, 0, 0};
#pragma unroll 1
    for (uint32_t row = 0; row < rows.count; row++) {
        uint4 vector[1];
        rows.next(vector);
        if (element<KIND>::is_finite(vector[0], j))
            sums.add(element<KIND>::wide(vector[0], j) - mean);
    }
    return sums;
}

/* Ends an item for one of the moments, the one of this number. */
template <uint32_t VECTOR>
static __device__ __forceinline__ void
moments_store(const statistics_grid &grid, const statistics_second &pass, const item &at,
              const moments (&sums)[VECTOR], double moments::*which, uint32_t number, double *room)
{
    double *to = pass.sums + (at.part * 3 + number) * grid.columns;
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

/* A thread holds half a vector: the sums of a whole one leave no registers for anything else. */
template <int KIND, bool IS_WHOLE, bool IS_COUNTING>
static __device__ __forceinline__ void item_moments(const statistics_grid &grid,
                                                    const statistics_second &pass, uint32_t index,
                                                    const team<IS_WHOLE> &own, double *room)
{
    using E = element<KIND>;
    constexpr uint32_t size = E::vector / 2;
    const item at = item_at<KIND, size>(grid, index, STATISTICS_SECOND_THREADS);
    const centring<IS_WHOLE, size> centred(own, at);
    double means[size];
    moments sums[size] = {};
#pragma unroll
    for (uint32_t j = 0; j < size; j++)
        means[j] = j < at.columns ? pass.means[(uint64_t)at.segment * grid.columns + at.column + j] : 0.0;
    item_rows<1, 8> rows(grid, at, E::bytes);
    rows.data[0] = (const unsigned char *)pass.data;
    const item_rows<1, 8> again = rows;
    rows.template each<ROWS_AHEAD, ROWS_FAR>([&](const uint4(&vectors)[1]) {
        uint32_t pairs[size / 2];
#pragma unroll
        for (uint32_t j = 0; j < size; j += 2) {
            if (IS_COUNTING)
                pairs[j / 2] = centred.codes(own, E::value(vectors[0], j), E::value(vectors[0], j + 1), j);
            sums[j].add(E::wide(vectors[0], j) - means[j]);
            sums[j + 1].add(E::wide(vectors[0], j + 1) - means[j + 1]);
        }
        if (IS_COUNTING)
            table_count(own.counters, pairs, centred.columns, own.totals);
    });
#pragma unroll
    for (uint32_t j = 0; j < size; j++)
        if (!isfinite(sums[j].m4))
            sums[j] = moments_finite<KIND>(again, j, means[j]);
    moments_store(grid, pass, at, sums, &moments::m2, 0, room);
    moments_store(grid, pass, at, sums, &moments::m3, 1, room);
    moments_store(grid, pass, at, sums, &moments::m4, 2, room);
}

/* -- Displacements -- */

/* Pairs of the matrix and reference i of which both are finite. */
template <int KIND, uint32_t MATRICES>
static __device__ __forceinline__ statistics_partial pairs_finite(item_rows<MATRICES> rows, uint32_t i,
                                                                  uint32_t columns)
{
    using E = element<KIND>;
    statistics_partial sums = {0, 0, 0, 0};
#pragma unroll 1
    for (uint32_t row = 0; row < rows.count; row++) {
        uint4 vectors[MATRICES];
        rows.next(vectors);
#pragma unroll
        for (uint32_t j = 0; j < E::vector; j++) {
            if (j >= columns || !E::is_finite(vectors[0], j) || !E::is_finite(vectors[1 + i], j))
                continue;
            const double w = E::wide(vectors[0], j), r = E::wide(vectors[1 + i], j);
            sums.squared += (w - r) * (w - r);
            sums.norm += w * w;
            sums.reference_norm += r * r;
            sums.pairs++;
        }
    }
    return sums;
}

/* Adds the item's pairs to the sums of the thread's warp. */
template <int KIND, bool IS_WHOLE, bool IS_COUNTING, uint32_t REFERENCES>
static __device__ __forceinline__ void
item_displacements(const statistics_grid &grid, const statistics_second &pass, uint32_t index,
                   const team<IS_WHOLE> &own, statistics_partial (*warps)[2])
{
    using E = element<KIND>;
    const item at = item_at<KIND, E::vector>(grid, index, STATISTICS_SECOND_THREADS);
    const centring<IS_WHOLE, E::vector> centred(own, at);
    item_rows<1 + REFERENCES> rows(grid, at, E::bytes);
    rows.data[0] = (const unsigned char *)pass.data;
    for (uint32_t i = 0; i < REFERENCES; i++)
        rows.data[1 + i] = (const unsigned char *)pass.references[i];
    const item_rows<1 + REFERENCES> again = rows;
    double norm = 0, squared[REFERENCES] = {}, reference_norm[REFERENCES] = {};
    rows.template each<ROWS_AHEAD_BESIDE, ROWS_FAR_BESIDE>([&](const uint4(&vectors)[1 + REFERENCES]) {
        uint32_t pairs[E::vector / 2];
#pragma unroll
        for (uint32_t j = 0; j < E::vector; j++) {
            if (IS_COUNTING && j % 2 == 0)
                pairs[j / 2] = centred.codes(own, E::value(vectors[0], j), E::value(vectors[0], j + 1), j);
            const double w = E::wide(vectors[0], j);
            norm += w * w;
#pragma unroll
            for (uint32_t i = 0; i < REFERENCES; i++) {
                const double r = E::wide(vectors[1 + i], j), difference = w - r;
                squared[i] += difference * difference;
                reference_norm[i] += r * r;
            }
        }
        if (IS_COUNTING)
            table_count(own.counters, pairs, centred.columns, own.totals);
    });
#pragma unroll
    for (uint32_t i = 0; i < REFERENCES; i++) {
        statistics_partial sums = {squared[i], norm, reference_norm[i],
                                   (unsigned long long)at.rows * at.columns};
        if (!isfinite(squared[i]) || !isfinite(norm) || !isfinite(reference_norm[i]))
            sums = pairs_finite<KIND>(again, i, at.columns);
        sums.squared = warp_sum(sums.squared);
        sums.norm = warp_sum(sums.norm);
        sums.reference_norm = warp_sum(sums.reference_norm);
        sums.pairs = warp_sum(sums.pairs);
        if (threadIdx.x % 32)
            continue;
        statistics_partial &to = warps[threadIdx.x / 32][i];
        to.squared += sums.squared;
        to.norm += sums.norm;
        to.reference_norm += sums.reference_norm;
        to.pairs += sums.pairs;
    }
}

/* Ends a segment: the sums of the block's warps, in order, go to device memory. */
static __device__ __forceinline__ void displacements_store(const statistics_second &pass, int segment,
                                                           statistics_partial (*warps)[2])
{
    __syncthreads();
    if (threadIdx.x < 2) {
        statistics_partial sums = {0, 0, 0, 0};
        for (uint32_t warp = 0; warp < WARPS; warp++) {
            statistics_partial &from = warps[warp][threadIdx.x];
            sums.squared += from.squared;
            sums.norm += from.norm;
            sums.reference_norm += from.reference_norm;
            sums.pairs += from.pairs;
            from = {0, 0, 0, 0};
        }
        pass.partials[((size_t)blockIdx.x * STATISTICS_SEGMENTS + (size_t)segment) * 2 + threadIdx.x] = sums;
    }
    __syncthreads();
}

/* -- The pass -- */

/* What a block does beside counting. */
enum duty { DUTY_NONE, DUTY_MOMENTS, DUTY_DISPLACEMENTS };

/* Neighbouring blocks walk over the same items: one team for each row set (without padding the second one
 * only helps), and in each team a block for every slice of the codes, of which the first has the duties. */
struct role {
    uint32_t count, set, slice; /* set 0: all rows, 1: tokens */
    bool has_padding, has_teams;

    __device__ __forceinline__ role(const statistics_grid &grid, const statistics_second &pass)
        : has_padding(grid.parts[1] != 0)
    {
        has_teams = has_padding || pass.reference_count;
        count = has_teams ? 2 * grid.slices : grid.slices;
        set = blockIdx.x % count / grid.slices;
        slice = blockIdx.x % grid.slices;
    }
    __device__ __forceinline__ bool is_counting(int segment) const
    {
        return set == 0 || (has_padding && segment == 0);
    }
    __device__ __forceinline__ duty duty_at(uint64_t part, int reference_count) const
    {
        const bool is_second = has_teams && (has_padding ? (part + set) % 2 != 0 : set != 0);
        if (slice != 0 || (is_second && !reference_count))
            return DUTY_NONE;
        return is_second ? DUTY_DISPLACEMENTS : DUTY_MOMENTS;
    }
};

/* Counts alone. */
template <int KIND, bool IS_WHOLE>
static __device__ __forceinline__ void item_counts(const statistics_grid &grid, const statistics_second &pass,
                                                   uint32_t index, const team<IS_WHOLE> &own)
{
    using E = element<KIND>;
    const item at = item_at<KIND, E::vector>(grid, index, STATISTICS_SECOND_THREADS);
    const centring<IS_WHOLE, E::vector> centred(own, at);
    item_rows<1> rows(grid, at, E::bytes);
    rows.data[0] = (const unsigned char *)pass.data;
    rows.template each<ROWS_AHEAD, ROWS_FAR>([&](const uint4(&vectors)[1]) {
        uint32_t pairs[E::vector / 2];
#pragma unroll
        for (uint32_t j = 0; j < E::vector; j += 2)
            pairs[j / 2] = centred.codes(own, E::value(vectors[0], j), E::value(vectors[0], j + 1), j);
        table_count(own.counters, pairs, centred.columns, own.totals);
    });
}

template <int KIND, bool IS_WHOLE, bool IS_COUNTING>
static __device__ __forceinline__ void do_item(const statistics_grid &grid, const statistics_second &pass,
                                               uint32_t index, const team<IS_WHOLE> &own, duty what,
                                               double *room, statistics_partial (*warps)[2])
{
    if (what == DUTY_MOMENTS)
        item_moments<KIND, IS_WHOLE, IS_COUNTING>(grid, pass, index, own, room);
    else if (what == DUTY_DISPLACEMENTS && pass.reference_count == 1)
        item_displacements<KIND, IS_WHOLE, IS_COUNTING, 1>(grid, pass, index, own, warps);
    else if (what == DUTY_DISPLACEMENTS)
        item_displacements<KIND, IS_WHOLE, IS_COUNTING, 2>(grid, pass, index, own, warps);
    else if (IS_COUNTING)
        item_counts<KIND, IS_WHOLE>(grid, pass, index, own);
}

template <int KIND, bool IS_WHOLE>
__global__ void __launch_bounds__(STATISTICS_SECOND_THREADS, 1)
    statistics_second_kernel(const statistics_grid grid, const statistics_second pass)
{
    extern __shared__ uint32_t words[];
    __shared__ double room[element<KIND>::vector / 2 * STATISTICS_SECOND_THREADS];
    __shared__ statistics_partial warps[WARPS][2];
    const role mine(grid, pass);
    const team<IS_WHOLE> own = {{words, mine.slice, grid.table_codes},
                                pass.counts + (size_t)mine.set * CODES,
                                pass.centres + mine.set * grid.columns,
                                mine.set ? pass.scales[1] : pass.scales[0]};
    const uint32_t items = item_count(grid);
    int segment = 0;
    if (threadIdx.x < WARPS * 2)
        warps[threadIdx.x / 2][threadIdx.x % 2] = {0, 0, 0, 0};
    table_clear(own.counters);
    for (uint32_t index = blockIdx.x / mine.count; index < items; index += gridDim.x / mine.count) {
        const uint32_t part = index / (uint32_t)grid.column_tiles;
        const int now = part >= grid.parts[0];
        if (now != segment)
            displacements_store(pass, segment, warps);
        segment = now;
        const duty what = mine.duty_at(part, pass.reference_count);
        if (mine.is_counting(segment))
            do_item<KIND, IS_WHOLE, true>(grid, pass, index, own, what, room, warps);
        else
            do_item<KIND, IS_WHOLE, false>(grid, pass, index, own, what, room, warps);
    }
    displacements_store(pass, segment, warps);
    table_flush(own.counters, own.totals);
}

__global__ void statistics_join_second_kernel(const statistics_grid grid, const double *sums, double *joined)
{
    const uint64_t place = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (place >= 3 * grid.columns)
        return; // guard
    uint64_t part = 0;
    for (int segment = 0; segment < STATISTICS_SEGMENTS; segment++) {
        const uint64_t end = part + grid.parts[segment];
        double sum = 0;
        for (; part < end; part += JOIN_AHEAD) {
            double addends[JOIN_AHEAD];
#pragma unroll
            for (uint32_t i = 0; i < JOIN_AHEAD; i++)
                addends[i] = part + i < end ? sums[(part + i) * 3 * grid.columns + place] : 0.0;
#pragma unroll
            for (uint32_t i = 0; i < JOIN_AHEAD; i++)
                sum += addends[i];
        }
        part = end;
        joined[(uint64_t)segment * 3 * grid.columns + place] = sum;
    }
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

template <int KIND, bool IS_WHOLE>
static cudaError_t launch_sliced(const statistics_grid *grid, const statistics_second *pass,
                                 cudaStream_t stream)
{
    const int bytes = (int)table_bytes(grid);
    cudaError_t status = cudaFuncSetAttribute(statistics_second_kernel<KIND, IS_WHOLE>,
                                              cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (status != cudaSuccess)
        return status;
    statistics_second_kernel<KIND, IS_WHOLE>
        <<<grid->block_count, STATISTICS_SECOND_THREADS, (size_t)bytes, stream>>>(*grid, *pass);
    return cudaGetLastError();
}

template <int KIND>
static cudaError_t launch_second(const statistics_grid *grid, const statistics_second *pass,
                                 cudaStream_t stream)
{
    return grid->slices == 1 ? launch_sliced<KIND, true>(grid, pass, stream)
                             : launch_sliced<KIND, false>(grid, pass, stream);
}

/* -- Wrappers --------------------------------------------------------------------------------------- */

extern "C" cudaError_t statistics_launch_second(const struct statistics_grid *grid,
                                                const struct statistics_second *pass, cudaStream_t stream)
{
    if (grid->kind == STATISTICS_KIND_F16)
        return launch_second<STATISTICS_KIND_F16>(grid, pass, stream);
    if (grid->kind == STATISTICS_KIND_BF16)
        return launch_second<STATISTICS_KIND_BF16>(grid, pass, stream);
    return launch_second<STATISTICS_KIND_F32>(grid, pass, stream);
}

extern "C" cudaError_t statistics_launch_join_second(const struct statistics_grid *grid, const double *sums,
                                                     double *joined, cudaStream_t stream)
{
    const unsigned blocks = (unsigned)((3 * grid->columns + 127) / 128);
    statistics_join_second_kernel<<<blocks, 128, 0, stream>>>(*grid, sums, joined);
    return cudaGetLastError();
}
