#include "gpu/cpu/gemm.h"

#include "gpu/cpu/gemm_amx.h"
#include "gpu/cpu/gemm_fma.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[GEMM_ENGINE_COUNT] = {
    [GEMM_ENGINE_BLAS] = "blas",
#if defined(__x86_64__)
    [GEMM_ENGINE_AVX2] = "avx2",
    [GEMM_ENGINE_AVX512] = "avx512",
    [GEMM_ENGINE_AMX] = "amx",
#elif defined(__aarch64__)
    [GEMM_ENGINE_NEON] = "neon",
#endif
};

const char *gemm_engine_name(enum gemm_engine engine)
{
    return (unsigned)engine < GEMM_ENGINE_COUNT ? names[engine] : "unknown";
}

enum gemm_engine gemm_start(enum cpu_isa isa)
{
    enum gemm_engine most = (enum gemm_engine)(GEMM_ENGINE_COUNT - 1);
    const char *name = getenv(GEMM_ENGINE_VARIABLE);
    openblas_set_num_threads(1);
    for (unsigned i = 0; name && i < GEMM_ENGINE_COUNT; i++)
        if (strcmp(name, names[i]) == 0)
            most = (enum gemm_engine)i;
    if (gemm_amx_is(most) && gemm_amx_start(isa))
        return most;
    return gemm_fma_best(isa, most);
}

uint64_t gemm_matrix_bytes(enum gemm_engine engine, enum tensor_dtype dtype, uint64_t rows, uint64_t columns)
{
    if (gemm_amx_is(engine))
        return gemm_amx_bytes(dtype, rows, columns);
    if (engine != GEMM_ENGINE_BLAS)
        return gemm_fma_bytes(rows, columns);
    return (rows * columns * sizeof(float) + 63) / 64 * 64;
}

size_t gemm_workspace_bytes(enum gemm_engine engine)
{
    const size_t fma = engine == GEMM_ENGINE_BLAS ? 0 : gemm_fma_workspace_bytes();
    const size_t amx = gemm_amx_is(engine) ? gemm_amx_workspace_bytes() : 0;
    return amx > fma ? amx : fma;
}

void gemm_matrix_init(struct gemm_matrix *matrix, enum gemm_engine engine, enum tensor_dtype dtype,
                      size_t rows, size_t columns, void *memory)
{
    *matrix = (struct gemm_matrix){
        .engine = engine, .dtype = dtype, .rows = rows, .columns = columns, .data = memory};
}

uint64_t gemm_stored_rows(const struct gemm_stored *stored)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < stored->part_count; i++)
        rows += stored->parts[i].shape.dim[0];
    return rows;
}

enum tensor_dtype gemm_stored_dtype(const struct gemm_stored *stored)
{
    for (size_t i = 1; i < stored->part_count; i++)
        if (stored->parts[i].dtype != stored->parts[0].dtype)
            return TENSOR_DTYPE_F32;
    return stored->parts[0].dtype;
}

/* The row of a single part that becomes `row`. */
static size_t source_row(const struct gemm_stored *stored, size_t row)
{
    if (!stored->head_count)
        return row;
    size_t width = stored->head_count * stored->head_size;
    size_t part = row / width, head = row % width / stored->head_size, element = row % stored->head_size;
    return (head * 3 + part) * stored->head_size + element;
}

/* Converts `count` elements of what becomes `row`, from `column` on. */
static void convert_row(const struct gemm_stored *stored, const struct score_kernels *kernels, size_t columns,
                        size_t row, size_t column, size_t count, float *out)
{
    const struct tensor_view *part = stored->parts;
    row = source_row(stored, row);
    while (row >= part->shape.dim[0])
        row -= (size_t)(part++)->shape.dim[0];
    size_t element_bytes = tensor_dtype_bits(part->dtype) / 8;
    kernels->convert(part->dtype,
                     (const unsigned char *)part->data + (row * columns + column) * element_bytes, count,
                     out);
}

/* The same of transposed parts, for `height` rows at once, which may be of several. */
static void convert_columns(const struct gemm_stored *stored, const struct score_kernels *kernels, size_t row,
                            size_t height, size_t column, size_t width,
                            float tile[GEMM_TILE_ROWS][GEMM_TILE_COLUMNS])
{
    const struct tensor_view *part = stored->parts;
    float values[GEMM_TILE_ROWS];
    while (height && row >= part->shape.dim[0])
        row -= (size_t)(part++)->shape.dim[0];
    for (size_t done = 0, count; done < height; done += count, part++, row = 0) {
        const size_t rows = (size_t)part->shape.dim[0], element_bytes = tensor_dtype_bits(part->dtype) / 8;
        count = height - done < rows - row ? height - done : rows - row;
        for (size_t j = 0; j < width; j++) {
            kernels->convert(part->dtype,
                             (const unsigned char *)part->data + ((column + j) * rows + row) * element_bytes,
                             count, values);
            for (size_t i = 0; i < count; i++)
                tile[done + i][j] = values[i];
        }
    }
}

/* Tiles of a matrix for sgemm are rows again. */
static void place_tile(struct gemm_matrix *matrix, size_t row, size_t height, size_t column, size_t width,
                       float tile[GEMM_TILE_ROWS][GEMM_TILE_COLUMNS])
{
    if (gemm_amx_is(matrix->engine))
        gemm_amx_fill(matrix, row, column, tile);
    else if (matrix->engine != GEMM_ENGINE_BLAS)
        gemm_fma_fill(matrix, row, column, tile);
    for (size_t i = 0; matrix->engine == GEMM_ENGINE_BLAS && i < height; i++)
        memcpy((float *)matrix->data + (row + i) * matrix->columns + column, tile[i], width * sizeof(float));
}

void gemm_matrix_fill(struct gemm_matrix *matrix, const struct score_kernels *kernels,
                      const struct gemm_stored *stored, size_t begin, size_t end)
{
    const size_t columns = matrix->columns;
    /* Rows past the last one are filled with zeros. */
    size_t stop = end < matrix->rows ? end : (end + GEMM_ROWS_STEP - 1) / GEMM_ROWS_STEP * GEMM_ROWS_STEP;
    for (size_t row = begin; row < stop; row += GEMM_TILE_ROWS) {
        size_t below = row < end ? end - row : 0, height = below < GEMM_TILE_ROWS ? below : GEMM_TILE_ROWS;
        for (size_t column = 0; column < columns; column += GEMM_TILE_COLUMNS) {
            float tile[GEMM_TILE_ROWS][GEMM_TILE_COLUMNS] = {{0}};
            size_t left = columns - column, width = left < GEMM_TILE_COLUMNS ? left : GEMM_TILE_COLUMNS;
            for (size_t i = 0; i < height && !stored->is_transposed; i++)
                convert_row(stored, kernels, columns, row + i, column, width, tile[i]);
            if (stored->is_transposed)
                convert_columns(stored, kernels, row, height, column, width, tile);
            place_tile(matrix, row, height, column, width, tile);
        }
    }
}

void gemm_multiply(const struct gemm_matrix *matrix, size_t begin, size_t end, const struct gemm_rows *rows,
                   void *workspace)
{
    if (rows->count == 0 || begin == end)
        return;
    if (gemm_amx_is(matrix->engine))
        gemm_amx_multiply(matrix, begin, end, rows, workspace);
    else if (matrix->engine != GEMM_ENGINE_BLAS)
        gemm_fma_multiply(matrix, begin, end, rows, workspace);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows->count, (int)(end - begin),
                    (int)matrix->columns, 1.0F, rows->a, (int)rows->a_stride,
                    (const float *)matrix->data + begin * matrix->columns, (int)matrix->columns,
                    rows->is_sum ? 1.0F : 0.0F, rows->out, (int)rows->out_stride);
}

static void multiply_pair(enum gemm_engine engine, const struct gemm_pair *pair, int is_transposed,
                          void *workspace)
{
    if (pair->rows == 0 || pair->columns == 0)
        return;
    if (engine != GEMM_ENGINE_BLAS)
        gemm_fma_pair(engine, pair, is_transposed, workspace);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, is_transposed ? CblasTrans : CblasNoTrans, (int)pair->rows,
                    (int)pair->columns, (int)pair->depth, 1.0F, pair->a, (int)pair->a_stride, pair->b,
                    (int)pair->b_stride, 0.0F, pair->out, (int)pair->out_stride);
}

void gemm_transposed(enum gemm_engine engine, const struct gemm_pair *pair, void *workspace)
{
    multiply_pair(engine, pair, 1, workspace);
}

void gemm_plain(enum gemm_engine engine, const struct gemm_pair *pair, void *workspace)
{
    multiply_pair(engine, pair, 0, workspace);
}
