#include "gpu/cpu/statistics_plan.h"

#include <math.h>
#include <string.h>

/* What both passes walk: the blocks of a part, chunk by chunk, tile by tile. */
struct tile {
    uint64_t row_begin, row_end; /* of the chunk */
    uint64_t column;
    uint32_t columns;
};

/* A block of F64 as one of F32, rounded to nearest even. */
static struct statistics_block narrow(const struct statistics_block *block, float *values)
{
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *row = block->data + r * block->row_bytes;
        for (uint32_t c = 0; c < block->columns; c++) {
            double value;
            memcpy(&value, row + c * sizeof value, sizeof value);
            values[r * STATISTICS_BLOCK_COLUMNS + c] = (float)value;
        }
    }
    return (struct statistics_block){
        .data = (const unsigned char *)values,
        .row_bytes = STATISTICS_BLOCK_COLUMNS * sizeof *values,
        .rows = block->rows,
        .columns = block->columns,
    };
}

/* Of F64 in the worker's memory `narrowed`, where it stays until the next one. */
static struct statistics_block block_at(const struct statistics_plan *plan, const void *data, uint64_t row,
                                        const struct tile *tile, float *narrowed)
{
    uint64_t rows = tile->row_end - row;
    struct statistics_block block = {
        .data = (const unsigned char *)data + row * plan->row_bytes + tile->column * plan->element_bytes,
        .row_bytes = plan->row_bytes,
        .rows = rows < STATISTICS_BLOCK_ROWS ? (uint32_t)rows : STATISTICS_BLOCK_ROWS,
        .columns = tile->columns,
    };
    return plan->request->dtype == TENSOR_DTYPE_F64 ? narrow(&block, narrowed) : block;
}

/* Moves to the next tile of a part; 0 after the last. Start with row_begin = row_end = part->row_begin and
 * column = the number of columns. */
static int tile_next(const struct statistics_plan *plan, const struct statistics_part *part,
                     struct tile *tile)
{
    uint64_t columns = plan->request->columns;
    tile->column += tile->columns;
    if (tile->column >= columns) {
        tile->row_begin = tile->row_end;
        if (tile->row_begin >= part->row_end)
            return 0;
        uint64_t left = part->row_end - tile->row_begin;
        tile->row_end = tile->row_begin + (left < STATISTICS_CHUNK_ROWS ? left : STATISTICS_CHUNK_ROWS);
        tile->column = 0;
    }
    uint64_t left = columns - tile->column;
    tile->columns = left < STATISTICS_BLOCK_COLUMNS ? (uint32_t)left : STATISTICS_BLOCK_COLUMNS;
    return 1;
}

static struct tile tile_first(const struct statistics_plan *plan, const struct statistics_part *part)
{
    return (struct tile){
        .row_begin = part->row_begin, .row_end = part->row_begin, .column = plan->request->columns};
}

static double lanes_sum(const double *lanes)
{
    double sums[STATISTICS_LANES];
    memcpy(sums, lanes, sizeof(sums));
    for (int step = STATISTICS_LANES / 2; step > 0; step /= 2) {
        for (int i = 0; i < step; i++)
            sums[i] += sums[i + step];
    }
    return sums[0];
}

static void displacement_add(struct statistics_displacement *sum, const struct statistics_lanes *lanes,
                             uint64_t pairs)
{
    sum->elements += pairs;
    sum->squared += lanes_sum(lanes->squared);
    sum->dot += lanes_sum(lanes->dot);
    sum->norm_squared += lanes_sum(lanes->norm);
    sum->reference_norm_squared += lanes_sum(lanes->reference_norm);
}

static void flush_counts(struct statistics_worker *worker)
{
    for (int i = 0; i < 2; i++)
        statistics_count_flush(worker->counter.tables[i], worker->totals[worker->segment]);
    worker->counter.pending = 0;
}

static void first_tile(struct statistics_plan *plan, struct statistics_worker *worker,
                       struct statistics_part *part, const struct tile *tile)
{
    const struct statistics_request *request = plan->request;
    const struct statistics_kernels *kernels = plan->kernels;
    double sums[STATISTICS_BLOCK_COLUMNS] = {0};
    uint32_t not_finite[STATISTICS_BLOCK_COLUMNS] = {0};
    struct statistics_lanes lanes[STATISTICS_REFERENCES_MAX];
    uint64_t skipped[STATISTICS_REFERENCES_MAX] = {0};
    memset(lanes, 0, sizeof(lanes));
    for (uint64_t row = tile->row_begin; row < tile->row_end; row += STATISTICS_BLOCK_ROWS) {
        struct statistics_block block = block_at(plan, request->data, row, tile, worker->narrowed[0]);
        int is_finite = kernels->is_finite(&block);
        statistics_count_block(plan->dtype, &block, &worker->counter, &worker->extremes[part->segment]);
        if (is_finite)
            kernels->column_sums(&block, sums);
        else
            statistics_column_sums_checked(plan->dtype, &block, sums, not_finite);
        for (int i = 0; i < request->reference_count; i++) {
            struct statistics_block reference =
                block_at(plan, request->references[i], row, tile, worker->narrowed[1]);
            if (is_finite && kernels->is_finite(&reference))
                kernels->displacement(&block, &reference, &lanes[i]);
            else
                statistics_displacement_checked(plan->dtype, &block, &reference, &lanes[i], &skipped[i]);
        }
    }
    uint64_t pairs = (tile->row_end - tile->row_begin) * tile->columns;
    for (int i = 0; i < request->reference_count; i++)
        displacement_add(&part->displacements[i], &lanes[i], pairs - skipped[i]);
    for (uint32_t c = 0; c < tile->columns; c++) {
        /* Two-sum (Knuth): the sum of the chunks is kept with about twice the digits. */
        double *high = &part->sum_high[tile->column + c];
        double sum = *high + sums[c];
        double virtual_addend = sum - *high;
        part->sum_low[tile->column + c] += (*high - (sum - virtual_addend)) + (sums[c] - virtual_addend);
        *high = sum;
        part->not_finite[tile->column + c] += not_finite[c];
    }
    if (worker->counter.pending >= STATISTICS_COUNT_FLUSH)
        flush_counts(worker);
}

void statistics_pass_first(void *context, int index)
{
    struct statistics_plan *plan = context;
    if (index >= plan->worker_count)
        return;
    struct statistics_worker *worker = &plan->workers[index];
    for (;;) {
        size_t next = atomic_fetch_add(&plan->next_part, 1);
        if (next >= plan->part_count)
            break;
        struct statistics_part *part = &plan->parts[next];
        if (part->segment != worker->segment) {
            flush_counts(worker);
            worker->segment = part->segment;
        }
        struct tile tile = tile_first(plan, part);
        while (tile_next(plan, part, &tile))
            first_tile(plan, worker, part, &tile);
    }
    flush_counts(worker);
}

static void second_tile(struct statistics_plan *plan, struct statistics_worker *worker,
                        struct statistics_part *part, const struct tile *tile)
{
    const struct statistics_kernels *kernels = plan->kernels;
    enum tensor_dtype dtype = plan->dtype;
    const double *mean = plan->segment_mean[part->segment] + tile->column;
    double *m2 = part->m2 + tile->column, *m3 = part->m3 + tile->column, *m4 = part->m4 + tile->column;
    uint16_t codes[STATISTICS_BLOCK_COLUMNS];
    for (uint64_t row = tile->row_begin; row < tile->row_end; row += STATISTICS_BLOCK_ROWS) {
        struct statistics_block block = block_at(plan, plan->request->data, row, tile, worker->narrowed[0]);
        int is_finite = kernels->is_finite(&block);
        if (is_finite)
            kernels->central_sums(&block, mean, m2, m3, m4);
        else
            statistics_central_sums_checked(dtype, &block, mean, m2, m3, m4);
        for (uint32_t r = 0; r < block.rows; r++) {
            const unsigned char *at = block.data + r * block.row_bytes;
            for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
                int is_tokens = set == STATISTICS_ROW_SET_TOKENS;
                /* Without padding both sets are the same and `tokens` stands for them. */
                if (is_tokens ? part->segment != STATISTICS_SEGMENT_TOKENS : !plan->has_padding)
                    continue;
                kernels->centre(at, block.columns, plan->centre[set] + tile->column, plan->scale[set], codes);
                statistics_count_codes(codes, block.columns, !is_finite, worker->counter.tables[set]);
            }
        }
        worker->counter.pending += (uint64_t)block.rows * block.columns;
    }
}

static void flush_centred(struct statistics_worker *worker)
{
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++)
        statistics_count_flush(worker->counter.tables[set], worker->totals[set]);
    worker->counter.pending = 0;
}

void statistics_pass_second(void *context, int index)
{
    struct statistics_plan *plan = context;
    if (index >= plan->worker_count)
        return;
    struct statistics_worker *worker = &plan->workers[index];
    for (;;) {
        size_t next = atomic_fetch_add(&plan->next_part, 1);
        if (next >= plan->part_count)
            break;
        struct statistics_part *part = &plan->parts[next];
        struct tile tile = tile_first(plan, part);
        while (tile_next(plan, part, &tile)) {
            second_tile(plan, worker, part, &tile);
            if (worker->counter.pending >= STATISTICS_COUNT_FLUSH)
                flush_centred(worker);
        }
    }
    flush_centred(worker);
}
