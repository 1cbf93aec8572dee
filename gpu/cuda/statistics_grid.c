#include "gpu/cuda/statistics_kernels.h"

#define LANES_MAX 128U
#define LANES_MIN 32U
#define TURNS 4U /* items per block, so that the last turn is a small share */

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

/* Lanes for so many vectors in a row: as few idle ones as possible, then as many as possible; few rows leave
 * more threads to the columns. */
static uint32_t choose_lanes(uint64_t vectors, uint64_t rows)
{
    uint32_t best = LANES_MAX;
    if (vectors <= LANES_MAX) {
        for (best = 1; best < vectors;)
            best *= 2;
    } else {
        for (uint32_t lanes = LANES_MAX; lanes >= LANES_MIN; lanes /= 2)
            if (ceil_div(vectors, lanes) * lanes < ceil_div(vectors, best) * best)
                best = lanes;
    }
    while (best < STATISTICS_THREADS && best < vectors && STATISTICS_THREADS / best > rows)
        best *= 2;
    return best;
}

void statistics_grid_cut(struct statistics_grid *grid, int multiprocessor_count, size_t shared_bytes_max)
{
    const uint32_t vector = grid->kind == STATISTICS_KIND_F32 ? 4 : 8;
    const size_t other_bytes = (STATISTICS_THREADS + 64) * sizeof(double);
    grid->slices = shared_bytes_max >= 65536 * sizeof(uint16_t) + other_bytes ? 1 : 2;
    const uint32_t roles = grid->slices * STATISTICS_SEGMENTS;
    grid->block_count = (uint32_t)multiprocessor_count / roles * roles;
    if (grid->block_count == 0)
        grid->block_count = roles;
    const uint64_t vectors = ceil_div(grid->columns, vector);
    grid->lanes = choose_lanes(vectors, grid->rows);
    grid->lines = STATISTICS_THREADS / grid->lanes;
    grid->column_tiles = ceil_div(vectors, grid->lanes);
    const uint64_t step = (uint64_t)grid->lines * STATISTICS_UNROLL;
    uint64_t parts = (uint64_t)TURNS * (grid->block_count / grid->slices) / grid->column_tiles;
    uint64_t rows = ceil_div(ceil_div(grid->rows, parts ? parts : 1), step) * step;
    if (rows > 254ULL * grid->lines) /* what a thread's 8-bit counters hold, a multiple of step */
        rows = 254ULL * grid->lines;
    grid->part_rows = (uint32_t)rows;
    grid->parts[0] = ceil_div(grid->token_rows, rows);
    grid->parts[1] = ceil_div(grid->rows - grid->token_rows, rows);
}
