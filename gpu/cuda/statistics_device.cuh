/*
 * What both passes of tensor statistics share on the device: elements of each dtype, items of work, and the
 * table of counters.
 */
#ifndef BIFURCATED_GPU_CUDA_STATISTICS_DEVICE_CUH
#define BIFURCATED_GPU_CUDA_STATISTICS_DEVICE_CUH

#include "gpu/cuda/statistics_kernels.h"
#include "gpu/cuda/statistics_ptx.cuh"

#include <cuda_fp16.h>

#define CODES 65536U
#define FLUSH_AHEAD 4U /* counters that a thread reads at once */

static __device__ __forceinline__ uint32_t word_at(const uint4 &from, uint32_t i)
{
    return i == 0 ? from.x : i == 1 ? from.y : i == 2 ? from.z : from.w;
}

/* Element j of a 16-byte vector; in loops that are unrolled, so that j is known. */
template <int KIND> struct element {
    static constexpr uint32_t bytes = 2, vector = 8;
    static constexpr uint32_t large = 0x40004000U; /* the bits of values of 2 and more, of two elements */
    static constexpr uint32_t exponent_mask = KIND == STATISTICS_KIND_F16 ? 0x7c00U : 0x7f80U;

    static __device__ __forceinline__ uint32_t bits(const uint4 &from, uint32_t j)
    {
        const uint32_t word = word_at(from, j / 2);
        return j % 2 ? word >> 16 : word & 0xffffU;
    }
    static __device__ __forceinline__ float value(const uint4 &from, uint32_t j)
    {
        if (KIND == STATISTICS_KIND_F16)
            return __half2float(__ushort_as_half((unsigned short)bits(from, j)));
        const uint32_t word = word_at(from, j / 2);
        return __uint_as_float(j % 2 ? word & 0xffff0000U : word << 16);
    }
    static __device__ __forceinline__ double wide(const uint4 &from, uint32_t j)
    {
        if (KIND == STATISTICS_KIND_F16)
            return j % 2 ? upper_half(word_at(from, j / 2)) : lower_half(word_at(from, j / 2));
        return (double)value(from, j);
    }
    static __device__ __forceinline__ bool is_finite(const uint4 &from, uint32_t j)
    {
        return (bits(from, j) & exponent_mask) != exponent_mask;
    }
    /* The codes of elements 2 i and 2 i + 1, the second one in the upper half. */
    static __device__ __forceinline__ uint32_t codes(const uint4 &from, uint32_t i)
    {
        return word_at(from, i);
    }
};

template <> struct element<STATISTICS_KIND_F32> {
    static constexpr uint32_t bytes = 4, vector = 4;
    static constexpr uint32_t large = 0x40000000U;

    static __device__ __forceinline__ float value(const uint4 &from, uint32_t j)
    {
        return __uint_as_float(word_at(from, j));
    }
    static __device__ __forceinline__ double wide(const uint4 &from, uint32_t j)
    {
        return (double)value(from, j);
    }
    static __device__ __forceinline__ bool is_finite(const uint4 &from, uint32_t j)
    {
        return (word_at(from, j) & 0x7f800000U) != 0x7f800000U;
    }
    /* The upper half; every NaN is one code. */
    static __device__ __forceinline__ uint32_t code(uint32_t bits)
    {
        return (bits & 0x7fffffffU) > 0x7f800000U ? ((bits >> 16 & 0x8000U) | 0x7fc0U) : bits >> 16;
    }
    static __device__ __forceinline__ uint32_t codes(const uint4 &from, uint32_t i)
    {
        return code(word_at(from, 2 * i)) | code(word_at(from, 2 * i + 1)) << 16;
    }
};

/* -- Items ------------------------------------------------------------------------------------------ */

/* Whether two teams of blocks walk over the items of the second pass. */
static __host__ __device__ __forceinline__ bool has_teams(const statistics_grid &grid,
                                                          const statistics_second &pass)
{
    return grid.parts[1] != 0 || pass.reference_count;
}

/* One item as a thread sees it. */
struct item {
    uint32_t lanes, lines; /* vectors of a row at once, rows at once */
    uint64_t part;
    int segment;
    uint64_t row;         /* the thread's first one */
    uint32_t rows;        /* of the thread: each is `lines` after the one before */
    bool is_empty;        /* the part has no row of the segment */
    uint64_t tile_column; /* the tile's first */
    uint64_t column;      /* of the thread's vector */
    uint32_t columns;     /* valid ones in it: 0 ... vector */
};

/* The items, by index: a part and a tile of columns are two, one for each segment. One of them is empty but
 * where the part holds the boundary between tokens and padding: both are one block's then, so that all blocks
 * have as many rows. Fewer than 2^32: a part has at least a row, a tile a column. */
static __device__ __forceinline__ uint32_t item_count(const statistics_grid &grid)
{
    return (uint32_t)(grid.part_count * grid.column_tiles * STATISTICS_SEGMENTS);
}

/* Those of a walker, of `walkers`: a block, or the teams of blocks that take the same items. */
static __device__ __forceinline__ uint32_t item_first(uint32_t walker)
{
    return walker * STATISTICS_SEGMENTS;
}

static __device__ __forceinline__ uint32_t item_after(uint32_t index, uint32_t walkers)
{
    const uint32_t next = index + 1;
    return next % STATISTICS_SEGMENTS ? next : next + (walkers - 1) * STATISTICS_SEGMENTS;
}

/* For a block of `threads`, each of which holds a vector of SIZE columns: all columns of 16 bytes or half of
 * them. */
template <int KIND, uint32_t SIZE>
static __device__ __forceinline__ item item_at(const statistics_grid &grid, uint32_t index, uint32_t threads)
{
    item at;
    const uint32_t tiles = (uint32_t)grid.column_tiles, tile = index / STATISTICS_SEGMENTS % tiles,
                   part = index / STATISTICS_SEGMENTS / tiles;
    at.segment = index % STATISTICS_SEGMENTS;
    uint64_t begin = (uint64_t)part * grid.part_rows, end = begin + grid.part_rows;
    if (at.segment && begin < grid.token_rows)
        begin = grid.token_rows;
    if (end > (at.segment ? grid.rows : grid.token_rows))
        end = at.segment ? grid.rows : grid.token_rows;
    at.is_empty = begin >= end;
    at.part = at.segment ? grid.parts[0] + part - grid.token_rows / grid.part_rows : part;
    at.lanes = grid.lanes * (element<KIND>::vector / SIZE);
    at.lines = threads / at.lanes;
    const uint32_t line = threadIdx.x / at.lanes;
    const uint32_t rows = at.is_empty ? 0 : (uint32_t)(end - begin);
    at.row = begin + line;
    at.rows = line < rows ? (rows - line + at.lines - 1) / at.lines : 0;
    at.tile_column = (uint64_t)tile * grid.lanes * element<KIND>::vector;
    at.column = at.tile_column + threadIdx.x % at.lanes * SIZE;
    const uint64_t left = at.column < grid.columns ? grid.columns - at.column : 0;
    at.columns = left < SIZE ? (uint32_t)left : SIZE;
    if (at.columns == 0 || line >= at.lines)
        at.rows = 0;
    return at;
}

/* 16 bytes, or the first 8 of them. */
static __device__ __forceinline__ uint4 load(const unsigned char *from, uint32_t bytes)
{
    if (bytes == 16)
        return __ldg((const uint4 *)from);
    const uint2 half = __ldg((const uint2 *)from);
    return make_uint4(half.x, half.y, 0, 0);
}

/* The thread's vectors of BYTES of a matrix, row by row. */
template <uint32_t BYTES> struct item_rows {
    static constexpr uint32_t far_lanes = BYTES; /* that bring what a warp needs of a row, 32 bytes each */

    const unsigned char *at; /* the next row */
    uint64_t stride_bytes;
    uint32_t count;
    bool has_far; /* a warp is in one row */

    __device__ __forceinline__ item_rows(const statistics_grid &grid, const item &at, uint32_t element_bytes,
                                         const void *data)
        : at((const unsigned char *)data + at.row * grid.pitch_bytes + at.column * element_bytes),
          stride_bytes(at.lines * grid.pitch_bytes), count(at.rows), has_far(at.lanes >= 32)
    {
    }
    __device__ __forceinline__ uint4 next()
    {
        const uint4 vector = load(at, BYTES);
        at += stride_bytes;
        return vector;
    }
    /* Brings FAR rows into the L2, from the one on that is `skipped` after the next. Each lane brings some
     * bytes of another row, and all of them what the warp needs. */
    template <uint32_t FAR> __device__ __forceinline__ void far(uint32_t skipped) const
    {
        const uint32_t lane = lane_now();
        const unsigned char *from =
            at + (skipped + lane / far_lanes) * stride_bytes + lane % far_lanes * 32 - lane * BYTES;
#pragma unroll
        for (uint32_t row = 0; row < FAR; row += 32 / far_lanes) {
            prefetch(from);
            from += 32 / far_lanes * stride_bytes;
        }
    }
    /* Calls `work` with the vector of each row, while those of the next AHEAD rows are on their way, and
     * those of FAR to twice as many rows on their way to the L2. */
    template <uint32_t AHEAD, uint32_t FAR, typename Work> __device__ __forceinline__ void each(Work work)
    {
        uint4 ring[AHEAD];
#pragma unroll
        for (uint32_t u = 0; u < AHEAD; u++)
            if (u < count)
                ring[u] = next();
        uint32_t row = 0;
        for (; row + 2 * AHEAD <= count; row += AHEAD) { /* as long as there are rows for all */
            if (row % FAR == 0 && has_far && row + AHEAD + 2 * FAR < count)
                far<FAR>(FAR);
#pragma unroll
            for (uint32_t u = 0; u < AHEAD; u++) {
                work(ring[u]);
                ring[u] = next();
            }
        }
        for (; row < count; row += AHEAD)
#pragma unroll
            for (uint32_t u = 0; u < AHEAD; u++) {
                if (row + u < count)
                    work(ring[u]);
                if (row + u + AHEAD < count)
                    ring[u] = next();
            }
    }
};

/* -- Tables ----------------------------------------------------------------------------------------- */

/* Counters of the codes [first, first + count) in shared memory; the table counts those up to first + owned,
 * the rest of them in device memory. A counter of 32 bits cannot overflow: no block has more elements
 * (statistics_grid_share). IS_WHOLE: all codes are one table's. */
template <bool IS_WHOLE, uint32_t WHOLE_CODES = STATISTICS_CODES_BELOW_2> struct table {
    shared_counters words;
    uint32_t slice, slice_codes;

    __device__ __forceinline__ uint32_t first() const
    {
        return IS_WHOLE ? 0 : slice * (CODES / 2);
    }
    __device__ __forceinline__ uint32_t count() const
    {
        return IS_WHOLE ? WHOLE_CODES : slice_codes;
    }
    __device__ __forceinline__ uint32_t owned() const
    {
        return IS_WHOLE ? CODES : CODES / 2;
    }
    /* Counts one that has a counter, here or in the other slice. */
    __device__ __forceinline__ void add_near(uint32_t code) const
    {
        if (IS_WHOLE || code - first() < count())
            shared_count(words, code - first());
    }
    __device__ __forceinline__ void add(uint32_t code, unsigned long long *totals) const
    {
        const uint32_t index = code - first();
        if (index < count())
            shared_count(words, index);
        else if (index < owned())
            atomicAdd(&totals[code], 1ULL);
    }
};

template <bool IS_WHOLE, uint32_t WHOLE_CODES>
static __device__ __forceinline__ void table_clear(const table<IS_WHOLE, WHOLE_CODES> &counters,
                                                   uint32_t *words)
{
    for (uint32_t i = threadIdx.x; i < counters.count(); i += blockDim.x)
        words[i] = 0;
    __syncthreads();
}

/* In a code: the bit of values of 2 and more, in either format, which weights hardly have. */
#define LARGE_CODES 0x4000U

/* Counts the first `columns` of SIZE codes of each row. `far` is 0 if all of them have a counter, here or in
 * the other slice, and columns = SIZE: that is the fast way. */
template <bool IS_WHOLE, uint32_t WHOLE_CODES, uint32_t ROWS, uint32_t SIZE>
static __device__ __forceinline__ void table_count(const table<IS_WHOLE, WHOLE_CODES> &counters,
                                                   const uint32_t (&codes)[ROWS][SIZE], uint32_t far,
                                                   uint32_t columns, unsigned long long *totals)
{
    if (!far) {
#pragma unroll
        for (uint32_t j = 0; j < ROWS * SIZE; j++)
            counters.add_near(codes[j / SIZE][j % SIZE]);
        return;
    }
    uint32_t queue[ROWS * SIZE]; /* an index that is not known would move the codes to memory */
#pragma unroll
    for (uint32_t j = 0; j < ROWS * SIZE; j++)
        queue[j] = codes[j / SIZE][j % SIZE];
#pragma unroll 1
    for (uint32_t j = 0; j < ROWS * SIZE; j++) {
        if (j % SIZE < columns)
            counters.add(queue[0], totals);
#pragma unroll
        for (uint32_t k = 0; k + 1 < ROWS * SIZE; k++)
            queue[k] = queue[k + 1];
    }
}

/* Adds the counters to the totals and clears them. Blocks begin at different places, so that they do not
 * meet.
 */
template <bool IS_WHOLE, uint32_t WHOLE_CODES>
static __device__ __forceinline__ void table_flush(const table<IS_WHOLE, WHOLE_CODES> &counters,
                                                   uint32_t *words, unsigned long long *totals)
{
    const uint32_t count = counters.count(), shift = count / gridDim.x * blockIdx.x / 32 * 32;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < count; i += FLUSH_AHEAD * blockDim.x) {
        uint32_t at[FLUSH_AHEAD], numbers[FLUSH_AHEAD];
#pragma unroll
        for (uint32_t k = 0; k < FLUSH_AHEAD; k++) {
            const uint32_t place = i + k * blockDim.x;
            at[k] = place + shift < count ? place + shift : place + shift - count;
            numbers[k] = place < count ? words[at[k]] : 0;
        }
#pragma unroll
        for (uint32_t k = 0; k < FLUSH_AHEAD; k++)
            if (numbers[k]) {
                atomicAdd(&totals[counters.first() + at[k]], (unsigned long long)numbers[k]);
                words[at[k]] = 0;
            }
    }
    __syncthreads();
}

/* -- Sums ------------------------------------------------------------------------------------------- */

/* Adds up the lines of the block, in order, for N values of each lane: store(i, lane, sum). `room` holds N
 * values for each thread. Every thread of the block calls it. */
template <typename T, uint32_t N, typename Store>
static __device__ __forceinline__ void lines_sum(const item &at, T *room, const T (&values)[N], Store store)
{
    __syncthreads();
#pragma unroll
    for (uint32_t i = 0; i < N; i++)
        room[i * blockDim.x + threadIdx.x] = values[i];
    __syncthreads();
    for (uint32_t place = threadIdx.x; place < N * at.lanes; place += blockDim.x) {
        const uint32_t i = place / at.lanes, lane = place % at.lanes;
        T sum = 0;
        for (uint32_t line = 0; line < at.lines; line++)
            sum += room[i * blockDim.x + line * at.lanes + lane];
        store(i, lane, sum);
    }
}

/* The warp's sum, in a fixed order; valid in lane 0. */
template <typename T> static __device__ __forceinline__ T warp_sum(T value)
{
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_down_sync(0xffffffffU, value, step);
    return value;
}

static inline size_t table_bytes(const statistics_grid *grid, uint32_t whole_codes)
{
    return (size_t)(grid->slices == 1 ? whole_codes : grid->table_codes) * sizeof(uint32_t);
}

#endif
