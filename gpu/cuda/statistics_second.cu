/*
 * The second pass: counts of the centred values (statistics_centred.cuh), central power sums around the
 * columns' means and displacements against up to two references (statistics_sums.cuh). Here is how a thread
 * walks over the rows of an item for all of them at once.
 */
#include "gpu/cuda/statistics_centred.cuh"
#include "gpu/cuda/statistics_sums.cuh"

/* Rows of a thread. */
#define ROWS_AHEAD 4U  /* that are on their way, and that are counted together */
#define ROWS_PERIOD 8U /* of one turn of the loop */
#define FAR_LANES 4U   /* that bring what a warp needs of a row into the L2, 64 bytes each */

/* How many of those that are counted together are loaded anew as soon as they are converted, and not when all
 * of them are counted, just before the first of them is needed. Results are the same. */
#ifndef STATISTICS_ROWS_EARLY
#define STATISTICS_ROWS_EARLY 0U
#endif
#define ROWS_EARLY STATISTICS_ROWS_EARLY

static_assert(ROWS_PERIOD % ROWS_AHEAD == 0 && ROWS_DUTY % ROWS_PERIOD == 0, "periods are whole");

/* Whether a GPU's shared memory takes a whole table (statistics_grid_cut): what it cannot have is no code for
 * it, which would take minutes to compile. GPUs after sm_90 have 227 KiB or 99; sm_100 has the former, so
 * that its slices are for later GPUs alone, by the intermediate: without one (preset cuda-check) they are
 * left out. */
#if !defined(__CUDA_ARCH__)
#define HAS_WHOLE true
#define HAS_SLICES true
#elif defined(BIFURCATED_CUDA_NO_INTERMEDIATE)
#define HAS_WHOLE (__CUDA_ARCH__ >= 900)
#define HAS_SLICES (__CUDA_ARCH__ != 900 && __CUDA_ARCH__ != 1000)
#else
#define HAS_WHOLE (__CUDA_ARCH__ >= 900)
#define HAS_SLICES (__CUDA_ARCH__ != 900)
#endif

/* -- CUDA kernels ----------------------------------------------------------------------------------- */

/* Where a thread's half vectors of an item are, in the matrix and in the references. */
template <int REFERENCES> struct item_places {
    const unsigned char *next; /* in the matrix: the first row that is not loaded */
    long long beside[2];       /* from there to the reference of the first duty, and of the second */
    uint32_t stride_bytes;

    __device__ __forceinline__ item_places(const statistics_grid &grid, const statistics_second &pass,
                                           const item &at, uint32_t element_bytes)
        : next((const unsigned char *)pass.data + at.row * grid.pitch_bytes + at.column * element_bytes),
          stride_bytes((uint32_t)(at.lines * grid.pitch_bytes))
    {
        const unsigned char *from = (const unsigned char *)pass.data;
        if (REFERENCES == 2)
            beside[0] = (const unsigned char *)pass.references[0] - from;
        if (REFERENCES)
            beside[1] = (const unsigned char *)pass.references[REFERENCES == 2] - from;
    }
    static __device__ __forceinline__ bool has_reference(bool is_first)
    {
        return REFERENCES == 2 || (REFERENCES == 1 && !is_first);
    }
    __device__ __forceinline__ const unsigned char *reference(bool is_first) const
    {
        return has_reference(is_first) ? next + (is_first ? beside[0] : beside[1]) : NULL;
    }
    /* The row `row` rows on from `next`, and from `place` of the reference, which may be NULL. */
    __device__ __forceinline__ void load(uint4 &matrix, uint4 &reference, const unsigned char *place,
                                         uint32_t row) const
    {
        matrix = ::load(rows_on(next, stride_bytes, row), 8);
        if (REFERENCES == 2 || place)
            reference = ::load(rows_on(place, stride_bytes, row), 8);
    }
    __device__ __forceinline__ void go_on(uint32_t rows)
    {
        next += (uint64_t)rows * stride_bytes;
    }
    /* Brings ROWS_PERIOD rows into the L2, from the one on that is `skipped` rows on from `next`. */
    __device__ __forceinline__ void far(uint32_t skipped, bool is_first) const
    {
        static_assert(ROWS_PERIOD * FAR_LANES == 32, "each lane brings a piece of a row");
        const uint32_t lane = lane_now();
        const unsigned char *at = next + (uint64_t)(skipped + lane / FAR_LANES) * stride_bytes +
                                  lane % FAR_LANES * (32 * 8 / FAR_LANES) - lane * 8;
        prefetch(at);
        if (has_reference(is_first))
            prefetch(at + (is_first ? beside[0] : beside[1]));
    }
};

/* What a thread forms of an item: in one duty the moments and the displacement from the first of two
 * references, in the other one that from the last reference. */
template <int KIND, bool IS_WHOLE, bool IS_COUNTING, int REFERENCES> struct item_sums {
    using E = element<KIND>;
    using places = item_places<REFERENCES>;
    static constexpr uint32_t size = E::vector / 2;

    const team<IS_WHOLE> &own;
    centring<KIND, IS_WHOLE> centred;
    double means[size];
    moments sums[size] = {};
    displacement<KIND> first, last;

    __device__ __forceinline__ item_sums(const statistics_grid &grid, const statistics_second &pass,
                                         const item &at, const team<IS_WHOLE> &own)
        : own(own), centred(own, at)
    {
#pragma unroll
        for (uint32_t j = 0; j < size; j++)
            means[j] = j < at.columns ? pass.means[(uint64_t)at.segment * grid.columns + at.column + j] : 0.0;
    }
    __device__ __forceinline__ void add_row(const uint4 &matrix, const uint4 &reference, bool is_first)
    {
        add_sums(matrix, reference, is_first);
        if (IS_COUNTING)
            centred.count_row(own, matrix);
    }
    __device__ __forceinline__ void add_sums(const uint4 &matrix, const uint4 &reference, bool is_first)
    {
#pragma unroll
        for (uint32_t j = 0; j < size; j++) {
            const double w = E::wide(matrix, j);
            if (is_first)
                sums[j].add(w - means[j]);
            if (REFERENCES == 2 && is_first)
                first.add(w, E::wide(reference, j));
            if (REFERENCES && !is_first)
                last.add(w, E::wide(reference, j));
        }
    }
    /* The rows of a period, in whose stead come those that are ROWS_AHEAD later; `now` and `then` are where
     * the reference of this period and of the next one is. */
    __device__ __forceinline__ void period(uint4 *matrix, uint4 *reference, bool is_first,
                                           const unsigned char *now, const unsigned char *then,
                                           const places &rows)
    {
#pragma unroll
        for (uint32_t row = 0; row < ROWS_PERIOD; row += ROWS_AHEAD) {
            uint32_t codes[ROWS_AHEAD][size], all = centred.unusual;
            const unsigned char *place = row + ROWS_AHEAD < ROWS_PERIOD ? now : then;
#pragma unroll
            for (uint32_t u = 0; u != ROWS_EARLY; u++) {
                add_sums(matrix[u], reference[u], is_first);
                if (IS_COUNTING)
                    centred.see(own, matrix[u], codes[u], all);
                rows.load(matrix[u], reference[u], place, row + u);
            }
#pragma unroll
            for (uint32_t u = ROWS_EARLY; u < ROWS_AHEAD; u++)
                add_sums(matrix[u], reference[u], is_first);
#pragma unroll
            for (uint32_t u = ROWS_EARLY; IS_COUNTING && u < ROWS_AHEAD; u++)
                centred.see(own, matrix[u], codes[u], all);
            if (IS_COUNTING)
                centred.count(own, codes, all);
#pragma unroll
            for (uint32_t u = ROWS_EARLY; u < ROWS_AHEAD; u++)
                rows.load(matrix[u], reference[u], place, row + u);
        }
    }
    /* All rows of the item. */
    __device__ __forceinline__ void walk(const item &at, const role &mine, places rows)
    {
        uint4 matrix[ROWS_AHEAD], reference[ROWS_AHEAD];
#pragma unroll
        for (uint32_t u = 0; u < ROWS_AHEAD; u++)
            if (u < at.rows)
                rows.load(matrix[u], reference[u], rows.reference(mine.is_first(0)), u);
        rows.go_on(ROWS_AHEAD);
        uint32_t row = 0;
        for (; row + ROWS_PERIOD + ROWS_AHEAD <= at.rows; row += ROWS_PERIOD) { /* as long as there are all */
            const bool is_first = mine.is_first(row);
            const unsigned char *now = rows.reference(is_first),
                                *then = rows.reference(mine.is_first(row + ROWS_PERIOD));
            if (at.lanes >= 32 && row + 2 * ROWS_PERIOD < at.rows)
                rows.far(ROWS_PERIOD - ROWS_AHEAD, mine.is_first(row + ROWS_PERIOD));
            if (is_first)
                period(matrix, reference, true, now, then, rows);
            else
                period(matrix, reference, false, now, then, rows);
            rows.go_on(ROWS_PERIOD);
        }
        walk_rest(at, mine, matrix, reference, row, rows);
    }
    __device__ __forceinline__ void walk_rest(const item &at, const role &mine, uint4 *matrix,
                                              uint4 *reference, uint32_t row, places &rows)
    {
#pragma unroll 1
        for (; row < at.rows; row += ROWS_AHEAD) {
            const unsigned char *then = rows.reference(mine.is_first(row + ROWS_AHEAD));
#pragma unroll
            for (uint32_t u = 0; u < ROWS_AHEAD; u++) {
                if (row + u < at.rows && mine.is_first(row))
                    add_row(matrix[u], reference[u], true);
                else if (row + u < at.rows)
                    add_row(matrix[u], reference[u], false);
                if (row + u + ROWS_AHEAD < at.rows)
                    rows.load(matrix[u], reference[u], then, u);
            }
            rows.go_on(ROWS_AHEAD);
        }
    }
};

template <int KIND, bool IS_WHOLE, bool IS_COUNTING, int REFERENCES>
static __device__ __forceinline__ void
do_item_sums(const statistics_grid &grid, const statistics_second &pass, const item &at,
             const team<IS_WHOLE> &own, const role &mine, double *room, statistics_sums (*warps)[2])
{
    item_sums<KIND, IS_WHOLE, IS_COUNTING, REFERENCES> item(grid, pass, at, own);
    item.walk(at, mine, item_places<REFERENCES>(grid, pass, at, element<KIND>::bytes));
    if (REFERENCES == 2)
        item.first.store(warps[threadIdx.x / 32][0]);
    if (REFERENCES)
        item.last.store(warps[threadIdx.x / 32][REFERENCES == 2]);
    moments_end<KIND>(grid, pass, at, mine, item.means, item.sums, room);
}

/* -- The pass -- */

/* Counts alone. */
template <int KIND, bool IS_WHOLE>
static __device__ __forceinline__ void item_counts(const statistics_grid &grid, const statistics_second &pass,
                                                   const item &at, const team<IS_WHOLE> &own)
{
    const centring<KIND, IS_WHOLE> centred(own, at);
    item_rows<8> rows(grid, at, element<KIND>::bytes, pass.data);
    rows.template each<ROWS_AHEAD, ROWS_PERIOD>([&](const uint4 &vector) { centred.count_row(own, vector); });
}

template <int KIND, bool IS_WHOLE, bool IS_COUNTING>
static __device__ __forceinline__ void do_item(const statistics_grid &grid, const statistics_second &pass,
                                               const item &at, const team<IS_WHOLE> &own, const role &mine,
                                               double *room, statistics_sums (*warps)[2])
{
    if (!IS_WHOLE && mine.slice != 0) { /* a whole table has no other slice, and no code for it */
        if (IS_COUNTING)
            item_counts<KIND, IS_WHOLE>(grid, pass, at, own);
    } else if (pass.reference_count == 2) {
        do_item_sums<KIND, IS_WHOLE, IS_COUNTING, 2>(grid, pass, at, own, mine, room, warps);
    } else if (pass.reference_count == 1) {
        do_item_sums<KIND, IS_WHOLE, IS_COUNTING, 1>(grid, pass, at, own, mine, room, warps);
    } else {
        do_item_sums<KIND, IS_WHOLE, IS_COUNTING, 0>(grid, pass, at, own, mine, room, warps);
    }
}

template <int KIND, bool IS_WHOLE>
static __device__ __forceinline__ void do_items(const statistics_grid &grid, const statistics_second &pass)
{
    extern __shared__ uint32_t words[];
    __shared__ double room[element<KIND>::vector / 2 * STATISTICS_SECOND_THREADS];
    __shared__ statistics_sums warps[WARPS][2];
    const role mine(grid, pass);
    const team<IS_WHOLE> own = {{shared_counters_at(words), mine.slice, grid.table_codes},
                                pass.counts + (size_t)mine.set * CODES,
                                pass.centres + mine.set * grid.columns,
                                mine.set ? pass.scales[1] : pass.scales[0]};
    const uint32_t items = item_count(grid);
    int segment = 0;
    if (threadIdx.x < WARPS * 2)
        warps[threadIdx.x / 2][threadIdx.x % 2] = {0, 0, 0};
    table_clear(own.counters, words);
    for (uint32_t index = item_first(blockIdx.x / mine.count); index < items;
         index = item_after(index, gridDim.x / mine.count)) {
        const item at = item_at<KIND, element<KIND>::vector / 2>(grid, index, STATISTICS_SECOND_THREADS);
        if (at.is_empty)
            continue;
        if (at.segment != segment)
            displacements_store(pass, segment, warps);
        segment = at.segment;
        if (mine.is_counting(segment))
            do_item<KIND, IS_WHOLE, true>(grid, pass, at, own, mine, room, warps);
        else
            do_item<KIND, IS_WHOLE, false>(grid, pass, at, own, mine, room, warps);
    }
    displacements_store(pass, segment, warps);
    table_flush(own.counters, words, own.totals);
}

template <int KIND, bool IS_WHOLE>
__global__ void __launch_bounds__(STATISTICS_SECOND_THREADS, 1)
    statistics_second_kernel(const statistics_grid grid, const statistics_second pass)
{
    if constexpr (IS_WHOLE ? HAS_WHOLE : HAS_SLICES)
        do_items<KIND, IS_WHOLE>(grid, pass);
    else
        __trap();
}

/* -- Kernel launchers ------------------------------------------------------------------------------- */

template <int KIND, bool IS_WHOLE>
static cudaError_t launch_sliced(const statistics_grid *grid, const statistics_second *pass,
                                 cudaStream_t stream)
{
    const int bytes = (int)table_bytes(grid, STATISTICS_CODES_BELOW_4);
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
