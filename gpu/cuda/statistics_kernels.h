/*
 * The kernels of tensor statistics and how their work is cut. All memory is the device's.
 *
 * Two passes over a matrix of E elements, since centred values need the columns' means:
 *   first    the matrix alone: counts of codes, column sums (2 E bytes of float16)
 *   second   the matrix and up to two references: counts of the centred values of both row sets, central
 *            sums, displacements (6 E bytes with two references)
 * The unembedding of Pythia 12b, E = 260 million: 2.1 GB, or 0.48 ms at the 4.3 TB/s that an H200 copies.
 * That is the floor. What the multiprocessors do meanwhile, measured on one or counted in its code:
 *   shared memory: 3 E additions to a table, of which one of a warp takes 3.5 cycles (some of the 32 lanes
 * meet in a bank), beside the loads: 0.14 ms in the first pass, which takes 0.17, and 0.33 ms in the second
 *   conversion to float64, at 16 lanes per cycle: 4 E, 0.25 ms
 *   issue: 7 instructions per element in the first pass, and 31 in the second: 0.43 ms at the 2.3 per cycle
 *     that 20 warps reach; the second pass takes 0.47 (tests/bench/RESULTS.md)
 * The references are read in the second pass because it has the time for them, and the first has not.
 *
 * A table has a counter of 32 bits for each code below 0xc000: positive ones, and negative ones above -2 in
 * both 16-bit formats (192 KiB, one block per multiprocessor); in the second pass, down to -4, so that it is
 * enough to look at the elements. The others, which trained weights hardly have, are counted in device
 * memory. Where shared memory is smaller, two blocks count one half of the codes each, as many of them as
 * fit: 128 KiB (sm_80) or 64 KiB (sm_86, sm_89).
 *
 * The row sets of the second pass (all rows, tokens) have a table each, so they are counted by two teams of
 * blocks that walk over the same items at the same time: what the second one reads comes from the L2. The
 * other work is divided between the teams by rows, in turns so short that both stay close to each other.
 *
 * Work is cut into items: a part (a run of rows) times a tile of columns; its tokens and its padding by
 * themselves where it has both. Of all such cuts it is the one in which the block with most work has least. A
 * thread holds one 16-byte vector of columns and walks down the rows of the part; sums per column go to
 * memory once per part and are added up over the parts, in order, by a second kernel. Which block takes which
 * item is fixed, so every sum is formed in the same order in each run; counts are integers and may come in
 * any order.
 *
 * Sums take every element for finite. A column's sum that ends as NaN or an infinity, which sums of finite
 * weights cannot, is formed once more by its thread, with a check for each element. Displacements are formed
 * once more, over the pairs that are finite, by a third pass: where such a sum is not finite, or where a
 * block's sums are of a part of its rows (statistics_grid_comes_back). The sum of the squares of a matrix of
 * finite 16-bit elements follows from its counts.
 */
#ifndef BIFURCATED_GPU_CUDA_STATISTICS_KERNELS_H
#define BIFURCATED_GPU_CUDA_STATISTICS_KERNELS_H

#include <cuda_runtime_api.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STATISTICS_FIRST_THREADS 1024U
#define STATISTICS_SECOND_THREADS 640U
#define STATISTICS_PITCH_BYTES_MAX (UINT32_MAX / 10) /* ten rows at once, of the widest tensors */
#define STATISTICS_TEAMS 2
/* Counters of a whole table: of every positive code, and of negative ones above -2 or -4. */
#define STATISTICS_CODES_BELOW_2 0xc000U
#define STATISTICS_CODES_BELOW_4 0xc400U
#define STATISTICS_LANES_MAX 64U /* twice as many threads divide those of a block */
#define STATISTICS_PAIRS_THREADS 256U
#define STATISTICS_SEGMENTS 2

enum statistics_kind { STATISTICS_KIND_F16, STATISTICS_KIND_BF16, STATISTICS_KIND_F32 };

struct statistics_grid {
    enum statistics_kind kind;
    uint64_t rows, columns, token_rows;
    uint64_t pitch_bytes; /* a multiple of 16 */
    uint32_t lanes;       /* vectors of a row at once, a power of two */
    uint32_t part_rows;   /* of every part but the last */
    uint64_t part_count;
    uint64_t parts[STATISTICS_SEGMENTS]; /* those that have tokens, that have padding: one may have both */
    uint64_t column_tiles;               /* of lanes * (16 / element size) columns */
    uint32_t slices;                     /* 1, or 2 where the table of one block is too small */
    uint32_t table_codes;                /* of a slice that have a counter in shared memory */
    uint32_t block_count;                /* a multiple of 2 * slices */
};

/* Sums of one block over one segment and a reference. */
struct statistics_sums {
    double squared, norm, reference_norm;
};

/* The same, over the pairs in which both are finite. */
struct statistics_pair_sums {
    struct statistics_sums sums;
    unsigned long long pairs;
};

struct statistics_seen {
    unsigned long long zero_count;
    uint32_t lowest, highest; /* ordered bits of float32; lowest > highest: nothing finite */
};

struct statistics_first {
    const void *data;
    double *sums;                 /* [parts, columns] */
    uint32_t *not_finite;         /* [parts, columns] */
    unsigned long long *counts;   /* [STATISTICS_SEGMENTS, 65536], index = bits; zero before */
    struct statistics_seen *seen; /* [STATISTICS_SEGMENTS], float32 only; {0, ~0, 0} before */
};

struct statistics_second {
    const void *data, *references[2];
    int reference_count;
    const double *means;        /* [STATISTICS_SEGMENTS, columns] around which central sums are formed */
    const float *centres;       /* [2 row sets: all, tokens; columns] scaled means */
    float scales[2];            /* of a row set */
    double *sums;               /* [parts, STATISTICS_TEAMS, 3, columns]: m2, m3, m4 */
    unsigned long long *counts; /* [2 row sets, 65536], index = bits; zero before */
    struct statistics_sums *partials; /* [block_count, STATISTICS_SEGMENTS, 2]; zero before. norm:
                                       * float32 only */
};

struct statistics_pairs {
    const void *data, *reference;
    struct statistics_pair_sums *partials; /* [block_count, STATISTICS_SEGMENTS] */
};

/* Cuts the work for a device of `multiprocessor_count` with `shared_bytes_max` per block. */
void statistics_grid_cut(struct statistics_grid *grid, int multiprocessor_count, size_t shared_bytes_max);

/* Whether a block of the second pass comes back to a segment after the other one: in the part that has both,
 * where there are more tiles than pairs of blocks (wide rows on a GPU of few multiprocessors, such as a MIG
 * slice). Its `partials` are then those of the last time alone, and displacements are summed by the third
 * pass. */
int statistics_grid_comes_back(const struct statistics_grid *grid);

/* Elements that one block may come to count, at most. Its counters take up to UINT32_MAX. */
uint64_t statistics_grid_share(const struct statistics_grid *grid);

/* Launch on `stream`; the launch's own error. */
cudaError_t statistics_launch_first(const struct statistics_grid *grid, const struct statistics_first *pass,
                                    cudaStream_t stream);
cudaError_t statistics_launch_second(const struct statistics_grid *grid, const struct statistics_second *pass,
                                     cudaStream_t stream);

/* Where the second pass' displacements are not finite, or not whole. */
cudaError_t statistics_launch_pairs(const struct statistics_grid *grid, const struct statistics_pairs *pass,
                                    cudaStream_t stream);

/* Adds up the parts of each segment in order: high + low is the sum with about twice the digits of float64.
 * high, low [STATISTICS_SEGMENTS, columns]; totals likewise. */
cudaError_t statistics_launch_join_first(const struct statistics_grid *grid, const double *sums,
                                         const uint32_t *not_finite, double *high, double *low,
                                         unsigned long long *totals, cudaStream_t stream);

/* The same for m2, m3, m4: [parts, STATISTICS_TEAMS, 3, columns] to [STATISTICS_SEGMENTS, 3, columns]. */
cudaError_t statistics_launch_join_second(const struct statistics_grid *grid,
                                          const struct statistics_second *pass, double *joined,
                                          cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
