/*
 * What both passes of tensor statistics share on the device: elements of each dtype, items of work, and the
 * table of 16-bit counters.
 */
#ifndef BIFURCATED_GPU_CUDA_STATISTICS_DEVICE_CUH
#define BIFURCATED_GPU_CUDA_STATISTICS_DEVICE_CUH

#include "gpu/cuda/statistics_kernels.h"

#include <cuda_fp16.h>

#define CODES 65536U
/* A thread that brings a counter to this value takes it away again and adds it to the total in device memory.
 * Between two barriers of a block a counter grows by less than COUNTER_HALF, so it never overflows. */
#define COUNTER_HALF 0x8000U

template <int KIND> struct element {
    static constexpr uint32_t bytes = 2, vector = 8;
    static constexpr uint32_t exponent_mask = KIND == STATISTICS_KIND_F16 ? 0x7c00U : 0x7f80U;

    static __device__ __forceinline__ uint32_t bits(const uint4 &from, uint32_t j)
    {
        const uint32_t word = j / 2 == 0 ? from.x : j / 2 == 1 ? from.y : j / 2 == 2 ? from.z : from.w;
        return j % 2 ? word >> 16 : word & 0xffffU;
    }
    static __device__ __forceinline__ float value(uint32_t bits)
    {
        return KIND == STATISTICS_KIND_F16 ? __half2float(__ushort_as_half((unsigned short)bits))
                                           : __uint_as_float(bits << 16);
    }
    static __device__ __forceinline__ bool is_finite(uint32_t bits)
    {
        return (bits & exponent_mask) != exponent_mask;
    }
    static __device__ __forceinline__ uint32_t code(uint32_t bits)
    {
        return bits;
    }
};

template <> struct element<STATISTICS_KIND_F32> {
    static constexpr uint32_t bytes = 4, vector = 4;

    static __device__ __forceinline__ uint32_t bits(const uint4 &from, uint32_t j)
    {
        return j == 0 ? from.x : j == 1 ? from.y : j == 2 ? from.z : from.w;
    }
    static __device__ __forceinline__ float value(uint32_t bits)
    {
        return __uint_as_float(bits);
    }
    static __device__ __forceinline__ bool is_finite(uint32_t bits)
    {
        return (bits & 0x7f800000U) != 0x7f800000U;
    }
    /* The upper half; every NaN is one code. */
    static __device__ __forceinline__ uint32_t code(uint32_t bits)
    {
        return (bits & 0x7fffffffU) > 0x7f800000U ? ((bits >> 16 & 0x8000U) | 0x7fc0U) : bits >> 16;
    }
};

/* One item as a thread sees it. */
struct item {
    uint64_t part;
    int segment;
    uint64_t row_begin, row_end;
    uint64_t column;  /* of the thread's vector */
    uint32_t columns; /* valid ones in it: 0 ... vector */
};

static __device__ __forceinline__ uint64_t item_count(const statistics_grid &grid, int segment_count)
{
    return (grid.parts[0] + (segment_count > 1 ? grid.parts[1] : 0)) * grid.column_tiles;
}

static __device__ __forceinline__ item item_at(const statistics_grid &grid, uint64_t index, uint32_t vector)
{
    item at;
    at.part = index / grid.column_tiles;
    at.segment = at.part >= grid.parts[0];
    const uint64_t within = at.part - (at.segment ? grid.parts[0] : 0);
    const uint64_t first = at.segment ? grid.token_rows : 0;
    const uint64_t end = at.segment ? grid.rows : grid.token_rows;
    at.row_begin = first + within * grid.part_rows;
    at.row_end = at.row_begin + grid.part_rows < end ? at.row_begin + grid.part_rows : end;
    at.column = ((index % grid.column_tiles) * grid.lanes + threadIdx.x % grid.lanes) * vector;
    const uint64_t left = at.column < grid.columns ? grid.columns - at.column : 0;
    at.columns = left < vector ? (uint32_t)left : vector;
    return at;
}

/* The vector of the item's column in a row, past the caches' first level; zeros outside of the item. */
static __device__ __forceinline__ uint4 load_row(const void *data, const statistics_grid &grid,
                                                 const item &at, uint64_t row, uint32_t element_bytes)
{
    if (row >= at.row_end || at.columns == 0)
        return make_uint4(0, 0, 0, 0);
    const unsigned char *from =
        (const unsigned char *)data + row * grid.pitch_bytes + at.column * element_bytes;
    return __ldg((const uint4 *)from);
}

/* Counts of the codes [first, first + count) in shared memory, two counters to a word. */
struct table {
    uint32_t *words;
    uint32_t first, count;
};

static __device__ __forceinline__ void table_clear(const table &counters)
{
    for (uint32_t i = threadIdx.x; i < counters.count / 2; i += blockDim.x)
        counters.words[i] = 0;
    __syncthreads();
}

static __device__ __forceinline__ void table_count(const table &counters, uint32_t code,
                                                   unsigned long long *totals)
{
    const uint32_t index = code - counters.first;
    if (index >= counters.count)
        return;
    const uint32_t shift = (index & 1U) * 16;
    const uint32_t before = atomicAdd(&counters.words[index >> 1], 1U << shift);
    if ((before >> shift & 0xffffU) == COUNTER_HALF - 1) {
        atomicSub(&counters.words[index >> 1], COUNTER_HALF << shift);
        atomicAdd(&totals[code], (unsigned long long)COUNTER_HALF);
    }
}

/* Adds the counters to the totals and clears them. */
static __device__ __forceinline__ void table_flush(const table &counters, unsigned long long *totals)
{
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < counters.count / 2; i += blockDim.x) {
        const uint32_t word = counters.words[i];
        if (word & 0xffffU)
            atomicAdd(&totals[counters.first + 2 * i], (unsigned long long)(word & 0xffffU));
        if (word >> 16)
            atomicAdd(&totals[counters.first + 2 * i + 1], (unsigned long long)(word >> 16));
        counters.words[i] = 0;
    }
    __syncthreads();
}

/* Adds up the lines of the block for one column per lane, in order; the result is that of line 0. `room`
 * holds STATISTICS_THREADS values. Every thread of the block calls it. */
template <typename T>
static __device__ __forceinline__ T lines_sum(const statistics_grid &grid, T *room, T value)
{
    room[threadIdx.x] = value;
    __syncthreads();
    T sum = value;
    if (threadIdx.x < grid.lanes)
        for (uint32_t line = 1; line < grid.lines; line++)
            sum += room[line * grid.lanes + threadIdx.x];
    __syncthreads();
    return sum;
}

/* The block's sum, in a fixed order; valid in thread 0. `room` holds 32 values. */
template <typename T> static __device__ __forceinline__ T block_sum(T *room, T value)
{
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_down_sync(0xffffffffU, value, step);
    if (threadIdx.x % 32 == 0)
        room[threadIdx.x / 32] = value;
    __syncthreads();
    T sum = 0;
    if (threadIdx.x == 0)
        for (uint32_t i = 0; i < blockDim.x / 32; i++)
            sum += room[i];
    __syncthreads();
    return sum;
}

static inline size_t table_bytes(const statistics_grid *grid)
{
    return (size_t)CODES / grid->slices * sizeof(uint16_t);
}

#endif
