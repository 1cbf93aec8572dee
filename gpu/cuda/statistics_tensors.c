#include "gpu/cuda/statistics_tensors.h"

#include "daemon/base/checked.h"
#include "daemon/base/limits.h"
#include "gpu/cuda/staging.h"

/* The request was checked. */
_Static_assert(LIMIT_STATISTICS_COLUMNS * 4 <= STATISTICS_PITCH_BYTES_MAX, "every row is narrow enough");

static uint64_t rows_of_unit(const struct statistics_grid *grid)
{
    return grid->part_rows < grid->rows ? grid->part_rows : grid->rows;
}

static size_t row_bytes(const struct statistics_tensors *tensors)
{
    return (size_t)tensors->grid->columns * (tensors->grid->kind == STATISTICS_KIND_F32 ? 4 : 2);
}

static int take(struct statistics_tensors *tensors, uint64_t rows, struct err *err)
{
    const int is_padded = tensors->grid->pitch_bytes != row_bytes(tensors);
    int code = 0;
    if (checked_mul_size((size_t)tensors->grid->pitch_bytes, (size_t)rows, &tensors->each_bytes))
        return err_set(err, ERR_NO_MEMORY, "a tensor of this size is more than any memory");
    for (int i = 0; i <= tensors->request->reference_count && !code; i++)
        code = device_take(tensors->device, tensors->each_bytes, &tensors->each[i], err);
    /* What rows are padded with stays zero: copies leave it alone. */
    for (int i = 0; i <= tensors->request->reference_count && !code && is_padded; i++)
        code = CUDA_CHECK(tensors->device,
                          cudaMemsetAsync(tensors->each[i], 0, tensors->each_bytes, tensors->device->stream),
                          err);
    if (code)
        statistics_tensors_drop(tensors);
    return code;
}

int statistics_tensors_take(struct statistics_tensors *tensors, struct err *err)
{
    const struct statistics_grid *grid = tensors->grid;
    struct statistics_unit unit;
    tensors->unit_count = 1;
    tensors->is_whole = 1;
    if (statistics_grid_share(grid) <= UINT32_MAX) {
        int code = take(tensors, grid->rows, err);
        if (code != ERR_NO_MEMORY || grid->part_count == 1)
            return code;
        *err = (struct err)ERR_INIT;
    }
    tensors->is_whole = 0;
    tensors->unit_count = grid->parts[0] + grid->parts[1];
    statistics_tensors_lay_unit(tensors, 0, &unit);
    unit.grid.rows = rows_of_unit(grid); /* of the largest one */
    if (statistics_grid_share(&unit.grid) > UINT32_MAX)
        return err_set(
            err, ERR_LIMIT,
            "a tensor of this size is too large for statistics on this GPU; measure it with device = cpu");
    return take(tensors, rows_of_unit(grid), err);
}

void statistics_tensors_drop(struct statistics_tensors *tensors)
{
    for (int i = 0; i <= STATISTICS_REFERENCES_MAX; i++) {
        device_drop(tensors->device, tensors->each[i], tensors->each_bytes);
        tensors->each[i] = NULL;
    }
}

size_t statistics_tensors_least_bytes(const struct statistics_tensors *tensors)
{
    const struct statistics_grid *grid = tensors->grid;
    return (size_t)(1 + tensors->request->reference_count) *
           device_rounded((size_t)(grid->pitch_bytes * rows_of_unit(grid)));
}

void statistics_tensors_lay_unit(const struct statistics_tensors *tensors, uint64_t number,
                                 struct statistics_unit *ret_unit)
{
    const struct statistics_grid *grid = tensors->grid;
    *ret_unit = (struct statistics_unit){.grid = *grid, .part = number};
    if (tensors->is_whole)
        return;
    const int is_padding = number >= grid->parts[0];
    const uint64_t part = is_padding ? grid->token_rows / grid->part_rows + number - grid->parts[0] : number;
    const uint64_t limit = is_padding ? grid->rows : grid->token_rows;
    uint64_t begin = part * grid->part_rows, end = begin + grid->part_rows;
    if (is_padding && begin < grid->token_rows)
        begin = grid->token_rows;
    if (end > limit)
        end = limit;
    struct statistics_grid *own = &ret_unit->grid;
    ret_unit->row_first = begin;
    own->rows = end - begin;
    own->token_rows = is_padding ? 0 : own->rows;
    own->part_count = 1;
    own->parts[0] = !is_padding; /* parts[1] says whether there is any padding: teams go by it */
}

int statistics_tensors_send(struct statistics_tensors *tensors, int which, const struct statistics_unit *unit,
                            struct err *err)
{
    const struct statistics_request *request = tensors->request;
    const unsigned char *from = which ? request->references[which - 1] : request->data;
    const size_t element_bytes = tensor_dtype_bits(request->dtype) / 8;
    const struct staging_rows rows = {.to = tensors->each[which],
                                      .pitch_bytes = (size_t)tensors->grid->pitch_bytes,
                                      .from = from + unit->row_first * request->columns * element_bytes,
                                      .row_bytes = row_bytes(tensors),
                                      .row_count = unit->grid.rows,
                                      .is_narrowing = request->dtype == TENSOR_DTYPE_F64};
    return staging_copy_rows(tensors->device, tensors->device->stream, &rows, err);
}
