#include "gpu/cpu/gemm.h"

#include <cblas.h>

void gemm_start(void)
{
    openblas_set_num_threads(1);
}

uint64_t gemm_matrix_bytes(enum tensor_dtype dtype, uint64_t rows, uint64_t columns)
{
    (void)dtype;
    return (rows * columns * sizeof(float) + 63) / 64 * 64;
}

void gemm_matrix_init(struct gemm_matrix *matrix, enum tensor_dtype dtype, size_t rows, size_t columns,
                      void *memory)
{
    (void)dtype;
    *matrix = (struct gemm_matrix){.rows = rows, .columns = columns, .data = memory};
}

/* The stored row that becomes `row`. */
static size_t source_row(const struct gemm_rows *order, size_t row)
{
    if (!order->head_count)
        return row;
    size_t width = order->head_count * order->head_size;
    size_t part = row / width, head = row % width / order->head_size, element = row % order->head_size;
    return (head * 3 + part) * order->head_size + element;
}

void gemm_matrix_fill(struct gemm_matrix *matrix, const struct score_kernels *kernels,
                      const struct tensor_view *view, const struct gemm_rows *order, size_t begin, size_t end)
{
    size_t row_bytes = matrix->columns * (tensor_dtype_bits(view->dtype) / 8);
    for (size_t row = begin; row < end; row++)
        kernels->convert(view->dtype, (const unsigned char *)view->data + source_row(order, row) * row_bytes,
                         matrix->columns, matrix->data + row * matrix->columns);
}

void gemm_multiply(const struct gemm_matrix *matrix, size_t begin, size_t end, const float *a,
                   size_t a_stride, size_t row_count, float *out, size_t out_stride, int is_sum)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)row_count, (int)(end - begin),
                (int)matrix->columns, 1.0F, a, (int)a_stride, matrix->data + begin * matrix->columns,
                (int)matrix->columns, is_sum ? 1.0F : 0.0F, out, (int)out_stride);
}

void gemm_transposed(const float *a, size_t a_stride, const float *b, size_t b_stride, size_t rows,
                     size_t columns, size_t depth, float *out, size_t out_stride)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)columns, (int)depth, 1.0F, a,
                (int)a_stride, b, (int)b_stride, 0.0F, out, (int)out_stride);
}

void gemm_plain(const float *a, size_t a_stride, const float *b, size_t b_stride, size_t rows, size_t columns,
                size_t depth, float *out, size_t out_stride)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)columns, (int)depth, 1.0F, a,
                (int)a_stride, b, (int)b_stride, 0.0F, out, (int)out_stride);
}
