#include "gpu/cuda/statistics_kernels.h"

#define LANES_MIN 32U
#define ITEM_ROWS 32U /* as long as a block takes for so many rows, it takes to begin and end an item */
#define TURNS_MAX                                                                                            \
    8U /* items of a block in the first pass, where the tiles of columns are not more already                \
        */
#define PART_ROWS_MAX ((uint64_t)1 << 24)
#define OTHER_BYTES ((size_t)33 << 10) /* of shared memory, beside the table */

/* Rows that a block of the second pass takes at once are less than 4 GiB apart. Where fewer lanes take a row,
 * it has at most as many vectors. */
_Static_assert((uint64_t)STATISTICS_PITCH_BYTES_MAX *(STATISTICS_SECOND_THREADS / (2 * LANES_MIN)) <=
                   UINT32_MAX,
               "the widest row allows a stride of 32 bits");

static const uint32_t table_codes[] = {0xc000, 0x8000, 0x4000}; /* of one slice, of two, of two */

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

/* Lanes for so many vectors in a row: as few idle ones as possible, then as many as possible. */
static uint32_t choose_lanes(uint64_t vectors)
{
    uint32_t best = STATISTICS_LANES_MAX;
    if (vectors <= STATISTICS_LANES_MAX) {
        for (best = 1; best < vectors;)
            best *= 2;
    } else {
        for (uint32_t lanes = STATISTICS_LANES_MAX; lanes >= LANES_MIN; lanes /= 2)
            if (ceil_div(vectors, lanes) * lanes < ceil_div(vectors, best) * best)
                best = lanes;
    }
    return best;
}

/* How long both passes take with so many parts, in rows of the first pass; in the second one two blocks share
 * an item, and a row takes half as long again. */
static uint64_t cost_of(const struct statistics_grid *grid, uint64_t part_count)
{
    const uint64_t walkers = grid->block_count / grid->slices, items = part_count * grid->column_tiles;
    const uint64_t item_rows = ceil_div(grid->rows, part_count) + ITEM_ROWS;
    return (2 * ceil_div(items, walkers) + 3 * ceil_div(items, walkers / 2)) * item_rows;
}

/* Rows of a part for which the block with the most work has the least. */
static uint64_t choose_part_rows(const struct statistics_grid *grid)
{
    const uint64_t walkers = grid->block_count / grid->slices;
    uint64_t most = ceil_div(TURNS_MAX * walkers, grid->column_tiles), best = 1;
    if (most > grid->rows)
        most = grid->rows;
    for (uint64_t count = 2; count <= most; count++)
        if (cost_of(grid, count) < cost_of(grid, best))
            best = count;
    const uint64_t rows = ceil_div(grid->rows, best);
    return rows < PART_ROWS_MAX ? rows : PART_ROWS_MAX;
}

void statistics_grid_cut(struct statistics_grid *grid, int multiprocessor_count, size_t shared_bytes_max)
{
    const uint32_t vector = grid->kind == STATISTICS_KIND_F32 ? 4 : 8;
    int choice = 0;
    while (choice < 2 && table_codes[choice] * sizeof(uint32_t) + OTHER_BYTES > shared_bytes_max)
        choice++;
    grid->table_codes = table_codes[choice];
    grid->slices = choice ? 2 : 1;
    const uint32_t roles = grid->slices * 2;
    grid->block_count = (uint32_t)multiprocessor_count / roles * roles;
    if (grid->block_count == 0)
        grid->block_count = roles;
    const uint64_t vectors = ceil_div(grid->columns, vector);
    grid->lanes = choose_lanes(vectors);
    grid->column_tiles = ceil_div(vectors, grid->lanes);
    grid->part_rows = (uint32_t)choose_part_rows(grid);
    grid->part_count = ceil_div(grid->rows, grid->part_rows);
    grid->parts[0] = ceil_div(grid->token_rows, grid->part_rows);
    grid->parts[1] =
        grid->rows > grid->token_rows ? grid->part_count - grid->token_rows / grid->part_rows : 0;
}

int statistics_grid_comes_back(const struct statistics_grid *grid)
{
    return grid->parts[1] != 0 && grid->token_rows % grid->part_rows != 0 &&
           grid->column_tiles > grid->block_count / (STATISTICS_TEAMS * grid->slices);
}

uint64_t statistics_grid_share(const struct statistics_grid *grid)
{
    const uint64_t vector = grid->kind == STATISTICS_KIND_F32 ? 4 : 8;
    const uint64_t items = grid->part_count * grid->column_tiles;
    const uint64_t walkers = grid->block_count / (2 * grid->slices); /* where there are two teams */
    const uint64_t rows = grid->part_rows < grid->rows ? grid->part_rows : grid->rows;
    return ceil_div(items, walkers) * rows * grid->lanes * vector;
}
