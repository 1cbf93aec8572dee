/*
 * The kernels of tensor statistics and how their work is cut. All memory is the device's.
 *
 * What it costs, for a float16 matrix of E elements with two references and padding rows:
 *   bytes      first pass 6 E (the matrix and its references), second pass 2 E: 8 E. The unembedding of
 *              Pythia 12b, E = 260 million: 2.1 GB, or 0.48 ms at an H200's 4.3 TB/s. That is the floor.
 *   counting   one addition to a table in the first pass, two in the second (both row sets): 3 E. A table of
 *              65,536 counters of 32 bits does not fit the shared memory of a block (227 KiB at most);
 *              in device memory, an addition per element would have all of them meet in the L2. Counters of
 *              16 bits do fit (128 KiB), one block per multiprocessor. 32 random codes fall into 32 banks
 *              with 3 to 4 in the fullest, so an addition of a warp takes about 6 cycles:
 *              3 E / 32 * 6 / 132 multiprocessors at 1.8 GHz = 0.6 ms, overlapped with the copies.
 *   float64    about 13 operations per element in the first pass and 6 in the second: 19 E, at 64 a cycle
 *              and multiprocessor 0.33 ms, overlapped too.
 * These are counts, not measurements. Where 16-bit tables do not fit either (99 KiB: sm_86, sm_89), a block
 * counts one half of the codes and the matrix is read twice as often, the second time from the L2.
 *
 * Both row sets of the second pass have their own table, so they are counted by neighbouring blocks that
 * read the same rows at the same time: the second reader finds them in the L2.
 *
 * Work is cut into items: a part (a run of rows, all of tokens or all of padding) times a tile of columns. A
 * thread holds one 16-byte vector of columns and walks down the rows of the part; sums per column go to
 * memory once per part and are added up over the parts, in order, by a second kernel. Which block takes which
 * item is fixed, so every sum is formed in the same order in each run; counts are integers and may come in
 * any order.
 */
#ifndef BIFURCATED_GPU_CUDA_STATISTICS_KERNELS_H
#define BIFURCATED_GPU_CUDA_STATISTICS_KERNELS_H

#include <cuda_runtime_api.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STATISTICS_THREADS 512U
#define STATISTICS_UNROLL 2U /* rows that a thread has in flight */
#define STATISTICS_SEGMENTS 2

enum statistics_kind { STATISTICS_KIND_F16, STATISTICS_KIND_BF16, STATISTICS_KIND_F32 };

struct statistics_grid {
    enum statistics_kind kind;
    uint64_t rows, columns, token_rows;
    uint64_t pitch_bytes;                /* a multiple of 16 */
    uint32_t lanes, lines;               /* lanes * lines = STATISTICS_THREADS; vectors x rows at once */
    uint32_t part_rows;                  /* of a part, at most 254 * lines */
    uint64_t parts[STATISTICS_SEGMENTS]; /* tokens, padding */
    uint64_t column_tiles;               /* of lanes * (16 / element size) columns */
    uint32_t slices;                     /* 1, or 2 where a table of all codes does not fit */
    uint32_t block_count;                /* a multiple of slices * STATISTICS_SEGMENTS */
};

/* Sums of one block over one segment. */
struct statistics_partial {
    double squared, dot, norm, reference_norm;
    unsigned long long pairs;
};

struct statistics_seen {
    unsigned long long zero_count;
    uint32_t lowest, highest; /* ordered bits of float32; lowest > highest: nothing finite */
};

struct statistics_first {
    const void *data, *references[2];
    int reference_count;
    double *sums;                        /* [parts, columns] */
    uint32_t *not_finite;                /* [parts, columns] */
    unsigned long long *counts;          /* [STATISTICS_SEGMENTS, 65536], index = bits; zero before */
    struct statistics_partial *partials; /* [block_count, STATISTICS_SEGMENTS, 2]; zero before */
    struct statistics_seen *seen;        /* [STATISTICS_SEGMENTS], float32 only; {0, ~0, 0} before */
};

struct statistics_second {
    const void *data;
    const double *means;        /* [STATISTICS_SEGMENTS, columns] around which central sums are formed */
    const float *centres;       /* [2 row sets: all, tokens; columns] scaled means */
    float scales[2];            /* of a row set */
    double *sums;               /* [parts, 3, columns]: m2, m3, m4 */
    unsigned long long *counts; /* [2 row sets, 65536], index = bits; zero before */
};

/* Cuts the work for a device of `multiprocessor_count` with `shared_bytes_max` per block. */
void statistics_grid_cut(struct statistics_grid *grid, int multiprocessor_count, size_t shared_bytes_max);

/* Launch on `stream`; the launch's own error. */
cudaError_t statistics_launch_first(const struct statistics_grid *grid, const struct statistics_first *pass,
                                    cudaStream_t stream);
cudaError_t statistics_launch_second(const struct statistics_grid *grid, const struct statistics_second *pass,
                                     cudaStream_t stream);

/* Adds up the parts of each segment in order: high + low is the sum with about twice the digits of float64.
 * high, low [STATISTICS_SEGMENTS, columns]; totals likewise. */
cudaError_t statistics_launch_join_first(const struct statistics_grid *grid, const double *sums,
                                         const uint32_t *not_finite, double *high, double *low,
                                         unsigned long long *totals, cudaStream_t stream);

/* The same for m2, m3, m4: [parts, 3, columns] to [STATISTICS_SEGMENTS, 3, columns]. */
cudaError_t statistics_launch_join_second(const struct statistics_grid *grid, const double *sums,
                                          double *joined, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
