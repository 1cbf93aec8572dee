#include "gpu/cpu/statistics_plan.h"

#include "daemon/base/checked.h"

#include <stdlib.h>
#include <string.h>

static size_t segment_parts(uint64_t rows)
{
    uint64_t chunks = (rows + STATISTICS_CHUNK_ROWS - 1) / STATISTICS_CHUNK_ROWS;
    uint64_t chunks_per_part = (chunks + STATISTICS_PARTS_MAX - 1) / STATISTICS_PARTS_MAX;
    return chunks ? (size_t)((chunks + chunks_per_part - 1) / chunks_per_part) : 0;
}

/* Cuts [begin, end) into parts from *next on. */
static void cut_segment(struct statistics_plan *plan, enum statistics_segment segment, uint64_t begin,
                        uint64_t end, size_t *next)
{
    uint64_t chunks = (end - begin + STATISTICS_CHUNK_ROWS - 1) / STATISTICS_CHUNK_ROWS;
    uint64_t step = (chunks + STATISTICS_PARTS_MAX - 1) / STATISTICS_PARTS_MAX * STATISTICS_CHUNK_ROWS;
    for (uint64_t row = begin; row < end; row += step) {
        struct statistics_part *part = &plan->parts[(*next)++];
        part->segment = segment;
        part->row_begin = row;
        part->row_end = end - row < step ? end : row + step;
    }
}

static void lay_out_part(struct statistics_part *part, double *memory, uint64_t columns)
{
    _Static_assert(sizeof(uint64_t) == sizeof(double), "counts and sums share memory");
    part->sum_high = part->m2 = memory;
    part->sum_low = part->m3 = memory + columns;
    part->m4 = memory + 2 * columns;
    part->not_finite = (uint64_t *)(void *)(memory + 2 * columns);
}

static int worker_init(struct statistics_worker *worker)
{
    size_t table = STATISTICS_CODES * sizeof(uint32_t), total = STATISTICS_CODES * sizeof(uint64_t);
    size_t block = STATISTICS_BLOCK_ROWS * STATISTICS_BLOCK_COLUMNS * sizeof(float);
    char *memory = calloc(1, 2 * total + 2 * table + 2 * block);
    if (!memory)
        return -1;
    worker->memory = memory;
    for (int i = 0; i < 2; i++) {
        worker->totals[i] = (uint64_t *)(void *)(memory + (size_t)i * total);
        worker->counter.tables[i] = (uint32_t *)(void *)(memory + 2 * total + (size_t)i * table);
        worker->narrowed[i] = (float *)(void *)(memory + 2 * total + 2 * table + (size_t)i * block);
        worker->extremes[i] = (struct statistics_extremes){.lowest = UINT32_MAX, .highest = 0};
    }
    return 0;
}

int statistics_plan_init(struct statistics_plan *plan, const struct statistics_request *request,
                         const struct statistics_kernels *kernels, int worker_count, struct err *err)
{
    memset(plan, 0, sizeof(*plan));
    size_t columns = (size_t)request->columns, sums = 0;
    plan->request = request;
    plan->kernels = kernels;
    plan->dtype = request->dtype == TENSOR_DTYPE_F64 ? TENSOR_DTYPE_F32 : request->dtype;
    plan->element_bytes = tensor_dtype_bits(request->dtype) / 8;
    plan->row_bytes = plan->element_bytes * columns;
    plan->has_padding = request->token_rows < request->rows;
    plan->part_count =
        segment_parts(request->token_rows) + segment_parts(request->rows - request->token_rows);
    if (checked_mul_size(3 * plan->part_count, columns, &sums))
        return err_set(err, ERR_LIMIT, "a tensor of this size is too large for statistics");
    plan->parts = calloc(plan->part_count, sizeof(*plan->parts));
    plan->part_sums = calloc(sums, sizeof(*plan->part_sums));
    plan->workers = calloc((size_t)worker_count, sizeof(*plan->workers));
    int is_short = !plan->parts || !plan->part_sums || !plan->workers;
    for (int i = 0; i < 2; i++) {
        plan->segment_mean[i] = calloc(columns, sizeof(double));
        plan->centre[i] = calloc(columns, sizeof(float));
        is_short |= !plan->segment_mean[i] || !plan->centre[i];
    }
    for (; !is_short && plan->worker_count < worker_count; plan->worker_count++)
        is_short = worker_init(&plan->workers[plan->worker_count]);
    if (is_short)
        return err_set(err, ERR_NO_MEMORY, "no memory for the sums of %zu parts of %zu columns",
                       plan->part_count, columns);
    size_t next = 0;
    cut_segment(plan, STATISTICS_SEGMENT_TOKENS, 0, request->token_rows, &next);
    cut_segment(plan, STATISTICS_SEGMENT_PADDING, request->token_rows, request->rows, &next);
    for (size_t i = 0; i < plan->part_count; i++)
        lay_out_part(&plan->parts[i], plan->part_sums + 3 * i * columns, columns);
    return 0;
}

void statistics_plan_free(struct statistics_plan *plan)
{
    for (int i = 0; i < plan->worker_count; i++)
        free(plan->workers[i].memory);
    for (int i = 0; i < 2; i++) {
        free(plan->segment_mean[i]);
        free(plan->centre[i]);
    }
    free(plan->workers);
    free(plan->part_sums);
    free(plan->parts);
    memset(plan, 0, sizeof(*plan));
}
