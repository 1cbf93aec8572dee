#include "tests/gpu/cases.h"

#include "gpu/cuda/statistics_kernels.h"

#include <math.h>
#include <stdio.h>

/* How the work of statistics is cut, for every shape that the table has and more: needs no device. */
static const struct {
    uint64_t rows, columns, token_rows;
} shapes[] = {{1, 1, 1},       {1, 5000000, 1},     {777, 1, 700},
              {300, 37, 299},  {50304, 128, 50254}, {50688, 5120, 50277},
              {2, 16, 1},      {100000, 3, 99999},  {20000, 2560, 19900},
              {1, 1 << 26, 1}, {64, 4097, 64}};

static const struct {
    int multiprocessor_count;
    size_t shared_bytes;
} devices[] = {{132, 232448}, {108, 166912}, {128, 101376}, {1, 101376}, {148, 232448}};

/* 1 if every row and column is in exactly one item and what the kernels take for granted holds. */
static int is_sound(const struct statistics_grid *grid, size_t shared_bytes)
{
    const uint64_t vector = grid->kind == STATISTICS_KIND_F32 ? 4 : 8;
    const uint64_t width = grid->lanes * vector;
    if (grid->lanes > STATISTICS_LANES_MAX || (grid->lanes & (grid->lanes - 1)) != 0)
        return 0;
    if (grid->column_tiles * width < grid->columns || (grid->column_tiles - 1) * width >= grid->columns)
        return 0;
    if (grid->part_count * grid->part_rows < grid->rows ||
        (grid->part_count - 1) * grid->part_rows >= grid->rows)
        return 0;
    uint64_t parts[STATISTICS_SEGMENTS] = {0, 0}; /* with rows of the segment */
    for (uint64_t part = 0; part < grid->part_count; part++) {
        const uint64_t begin = part * grid->part_rows, end = begin + grid->part_rows;
        parts[0] += begin < grid->token_rows;
        parts[1] += grid->rows > grid->token_rows && end > grid->token_rows;
    }
    if (grid->parts[0] != parts[0] || grid->parts[1] != parts[1])
        return 0;
    if (grid->table_codes > 65536 / grid->slices || (grid->slices == 1 && grid->table_codes != 0xc000))
        return 0;
    if (statistics_grid_share(grid) > UINT32_MAX ||
        statistics_grid_share(grid) * (grid->block_count / (2 * grid->slices)) < grid->rows * grid->columns)
        return 0;
    return grid->block_count > 0 && grid->block_count % (grid->slices * 2) == 0 &&
           grid->table_codes * sizeof(uint32_t) + STATISTICS_FIRST_THREADS * 4 * sizeof(double) <=
               shared_bytes &&
           (grid->slices > 1 || STATISTICS_CODES_BELOW_4 * sizeof(uint32_t) +
                                        (STATISTICS_SECOND_THREADS * 4 + 256) * sizeof(double) <=
                                    shared_bytes);
}

/* Rows of the walker (a block of the first pass, a pair of blocks of the second) that has most, by those that
 * each would have if all had as many. */
static double imbalance(const struct statistics_grid *grid, uint64_t walkers)
{
    uint64_t most = 0, all = 0;
    for (uint64_t walker = 0; walker < walkers; walker++) {
        uint64_t own = 0;
        for (uint64_t item = walker; item < grid->part_count * grid->column_tiles; item += walkers) {
            const uint64_t begin = item / grid->column_tiles * grid->part_rows, end = begin + grid->part_rows;
            own += (end < grid->rows ? end : grid->rows) - begin;
        }
        most = own > most ? own : most;
        all += own;
    }
    return (double)most * (double)walkers / (double)all;
}

/* No block waits for long for another one. */
static void balanced(struct cases *cases)
{
    static const uint64_t columns[] = {128, 512, 768, 1024, 2048, 2560, 4096, 5120};
    const char *name = "grid of models' unembeddings";
    double worst = 0;
    if (!case_begins(cases, name, CASE_COST_SMALL))
        return;
    for (size_t d = 0; d < sizeof(devices) / sizeof(devices[0]); d++)
        for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
            struct statistics_grid grid = {.rows = 50432, .columns = columns[c], .token_rows = 50277};
            statistics_grid_cut(&grid, devices[d].multiprocessor_count, devices[d].shared_bytes);
            const uint64_t walkers = grid.block_count / grid.slices;
            worst = fmax(worst, fmax(imbalance(&grid, walkers), imbalance(&grid, walkers / 2)));
        }
    case_ends(cases, name, (worst - 1) / 0.03, "rows of the block with most, beyond the mean");
}

/* 48 multiprocessors beside 128 GB: a tensor of 104 GB is more than their counters take, one of 40 is not. */
static void too_large(struct cases *cases)
{
    struct statistics_grid large = {.rows = 10000000, .columns = 5200, .token_rows = 10000000},
                           fine = {.rows = 4000000, .columns = 5000, .token_rows = 4000000};
    const char *name = "grid of more than 32 bits count";
    if (!case_begins(cases, name, CASE_COST_SMALL))
        return;
    statistics_grid_cut(&large, 48, 101376);
    statistics_grid_cut(&fine, 48, 101376);
    int is_right = statistics_grid_share(&large) > UINT32_MAX && statistics_grid_share(&fine) <= UINT32_MAX;
    case_ends(cases, name, is_right ? 0 : 2, is_right ? "it is seen" : "it is not seen");
}

/* Of pythia-12b's unembedding, the smallest MIG slice of an H100 has sums that are not whole; all of an H100
 * has none, and neither has the slice where nothing is padding. */
static void comes_back(struct cases *cases)
{
    struct statistics_grid padded = {.rows = 50688, .columns = 5120, .token_rows = 50277}, whole = padded,
                           plain = padded;
    const char *name = "grid whose blocks come back to a segment";
    if (!case_begins(cases, name, CASE_COST_SMALL))
        return;
    plain.token_rows = plain.rows;
    statistics_grid_cut(&padded, 16, 232448);
    statistics_grid_cut(&plain, 16, 232448);
    statistics_grid_cut(&whole, 132, 232448);
    int is_right = statistics_grid_comes_back(&padded) && !statistics_grid_comes_back(&plain) &&
                   !statistics_grid_comes_back(&whole);
    for (size_t d = 0; d < sizeof(devices) / sizeof(devices[0]);
         d++) { /* the cases of statistics that are wide */
        struct statistics_grid wide = {.rows = 200, .columns = 45000, .token_rows = 149},
                               wide_f32 = {.kind = STATISTICS_KIND_F32,
                                           .rows = 200,
                                           .columns = 23000,
                                           .token_rows = 149};
        statistics_grid_cut(&wide, devices[d].multiprocessor_count, devices[d].shared_bytes);
        statistics_grid_cut(&wide_f32, devices[d].multiprocessor_count, devices[d].shared_bytes);
        is_right = is_right && statistics_grid_comes_back(&wide) && statistics_grid_comes_back(&wide_f32);
    }
    case_ends(cases, name, is_right ? 0 : 2, is_right ? "it is seen" : "it is not seen");
}

void cases_grid(struct cases *cases)
{
    too_large(cases);
    comes_back(cases);
    balanced(cases);
    for (size_t d = 0; d < sizeof(devices) / sizeof(devices[0]); d++)
        for (int kind = 0; kind < 3; kind++) {
            char name[96];
            int bad = 0;
            (void)snprintf(name, sizeof(name),
                           "grid of %d multiprocessors, %zu shared bytes, element kind %d",
                           devices[d].multiprocessor_count, devices[d].shared_bytes, kind);
            if (!case_begins(cases, name, CASE_COST_SMALL))
                continue;
            for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
                struct statistics_grid grid = {.kind = (enum statistics_kind)kind,
                                               .rows = shapes[i].rows,
                                               .columns = shapes[i].columns,
                                               .token_rows = shapes[i].token_rows};
                statistics_grid_cut(&grid, devices[d].multiprocessor_count, devices[d].shared_bytes);
                bad += !is_sound(&grid, devices[d].shared_bytes);
            }
            case_ends(cases, name, bad ? 2 : 0,
                      bad ? "shapes are cut wrongly" : "every shape is covered once");
        }
}
