#include "tests/gpu/cases.h"

#include "gpu/cuda/statistics_kernels.h"

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
    const uint64_t rows[STATISTICS_SEGMENTS] = {grid->token_rows, grid->rows - grid->token_rows};
    const uint64_t width = grid->lanes * vector;
    if (grid->lanes > STATISTICS_LANES_MAX || (grid->lanes & (grid->lanes - 1)) != 0)
        return 0;
    if (grid->column_tiles * width < grid->columns || (grid->column_tiles - 1) * width >= grid->columns)
        return 0;
    for (int s = 0; s < STATISTICS_SEGMENTS; s++)
        if (grid->parts[s] * grid->part_rows < rows[s] ||
            (grid->parts[s] && (grid->parts[s] - 1) * grid->part_rows >= rows[s]))
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

void cases_grid(struct cases *cases)
{
    too_large(cases);
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
