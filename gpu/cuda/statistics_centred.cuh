/*
 * Counts of the centred values: the weights less their column's mean, rounded to float16.
 */
#ifndef BIFURCATED_GPU_CUDA_STATISTICS_CENTRED_CUH
#define BIFURCATED_GPU_CUDA_STATISTICS_CENTRED_CUH

#include "gpu/cuda/statistics_device.cuh"

/* What counting needs of a block, and of the set of rows that it counts for. */
template <bool IS_WHOLE> struct team {
    table<IS_WHOLE, STATISTICS_CODES_BELOW_4> counters;
    unsigned long long *totals;
    const float *centres;
    float scale;
};

/* How the values of half a vector are centred and counted. */
template <int KIND, bool IS_WHOLE> struct centring {
    using E = element<KIND>;
    static constexpr uint32_t size = E::vector / 2;

    float shifts[size];
    uint32_t columns, unusual;

    __device__ __forceinline__ centring(const team<IS_WHOLE> &own, const item &at) : columns(at.columns)
    {
        bool is_usual = columns == size && (!IS_WHOLE || own.scale == 1);
#pragma unroll
        for (uint32_t j = 0; j < size; j++) {
            shifts[j] = j < columns ? -own.centres[at.column + j] : 0.0F;
            is_usual = is_usual && (!IS_WHOLE || fabsf(shifts[j]) < 1);
        }
        unusual = is_usual ? 0 : ~0U;
    }
    /* float16 code of the centred value of column j. A scale is a power of two: its product is exact, and the
     * fused operation rounds once, as the definition does. Two codes in a word would have to be taken apart.
     */
    __device__ __forceinline__ uint32_t code(const team<IS_WHOLE> &own, float value, uint32_t j) const
    {
        const __half2 alone = __floats2half2_rn(fmaf(value, own.scale, shifts[j]), 0.0F);
        return *(const uint32_t *)&alone;
    }
    /* The codes of a row, and in `all`, which begins with `unusual`, whether each of them has a counter. A
     * whole table has counters for values below 4: elements below 2 less centres below 1, which shows in the
     * words of the elements. A slice of a table may end at 2, which shows in the codes. */
    __device__ __forceinline__ void see(const team<IS_WHOLE> &own, const uint4 &vector,
                                        uint32_t (&codes)[size], uint32_t &all) const
    {
        if (IS_WHOLE)
            all |= vector.x | vector.y;
#pragma unroll
        for (uint32_t j = 0; j < size; j++) {
            codes[j] = code(own, E::value(vector, j), j);
            if (!IS_WHOLE)
                all |= codes[j];
        }
    }
    /* What was seen of ROWS rows. */
    template <uint32_t ROWS>
    __device__ __forceinline__ void count(const team<IS_WHOLE> &own, const uint32_t (&codes)[ROWS][size],
                                          uint32_t all) const
    {
        table_count(own.counters, codes, all & (IS_WHOLE ? E::large : LARGE_CODES), columns, own.totals);
    }
    __device__ __forceinline__ void count_row(const team<IS_WHOLE> &own, const uint4 &vector) const
    {
        uint32_t codes[1][size], all = unusual;
        see(own, vector, codes[0], all);
        count(own, codes, all);
    }
};

#endif
