#include "gpu/cpu/score_head.h"

#include <math.h>

/* What is known of a row's logits so far. */
struct row {
    struct score_log_sum log_sum;
    float target;  /* the logit of the target, once its block was there */
    int is_argmax; /* the target is the largest so far, and the first of its value */
};

static void update(struct row *row, const struct score_kernels *kernels, const float *logits, size_t begin,
                   size_t count, uint32_t target)
{
    float before = row->log_sum.largest;
    kernels->log_sum(logits, count, &row->log_sum);
    float largest = row->log_sum.largest;
    if (largest > before)
        row->is_argmax = 0;
    if (target < begin || target - begin >= count)
        return;
    row->target = logits[target - begin];
    if (!(row->target >= largest) || !(largest > before))
        return;
    for (size_t i = 0; i < target - begin; i++)
        if (logits[i] >= largest)
            return;
    row->is_argmax = 1;
}

/* Rows [begin, end) of the unembedding, prepared. */
static struct gemm_matrix vocabulary_block(const struct cpu_score_model *model, struct score_scratch *scratch,
                                           size_t begin, size_t end, size_t *ret_first)
{
    struct gemm_matrix block;
    if (model->is_resident) {
        *ret_first = begin;
        return model->unembedding;
    }
    const struct tensor_view *all = &model->views.model[SCORE_ROLE_UNEMBEDDING];
    size_t d = (size_t)model->config.hidden_size;
    struct gemm_stored stored = {.parts = {*all}, .part_count = 1};
    stored.parts[0].data = (const unsigned char *)all->data + begin * d * (tensor_dtype_bits(all->dtype) / 8);
    stored.parts[0].shape.dim[0] = end - begin;
    gemm_matrix_init(&block, model->engine, all->dtype, end - begin, d, scratch->vocabulary);
    gemm_matrix_fill(&block, model->kernels, &stored, 0, end - begin);
    *ret_first = 0;
    return block;
}

void score_head_run(const struct cpu_score_model *model, struct score_scratch *scratch, const float *hidden,
                    const uint32_t *targets, size_t row_count, double *logprobs, uint8_t *is_argmax)
{
    struct row rows[SCORE_HEAD_ROWS];
    size_t d = (size_t)model->config.hidden_size, vocabulary = (size_t)model->config.vocabulary_rows;
    for (size_t i = 0; i < row_count; i++)
        rows[i] = (struct row){.log_sum = {.largest = -INFINITY, .sum = 0}, .target = NAN};
    for (size_t begin = 0; begin < vocabulary; begin += SCORE_HEAD_COLUMNS) {
        size_t first, left = vocabulary - begin,
                      count = left < SCORE_HEAD_COLUMNS ? left : SCORE_HEAD_COLUMNS;
        struct gemm_matrix block = vocabulary_block(model, scratch, begin, begin + count, &first);
        const struct gemm_rows all = {
            .count = row_count, .a = hidden, .a_stride = d, .out = scratch->logits, .out_stride = count};
        gemm_multiply(&block, first, first + count, &all, scratch->workspace);
        for (size_t i = 0; model->unembedding_bias && i < row_count; i++)
            model->kernels->add(scratch->logits + i * count, model->unembedding_bias + begin, count);
        for (size_t i = 0; model->unembedding_scale && i < row_count; i++)
            for (size_t j = 0; j < count; j++)
                scratch->logits[i * count + j] *= model->unembedding_scale[begin + j];
        for (size_t i = 0; i < row_count; i++)
            update(&rows[i], model->kernels, scratch->logits + i * count, begin, count, targets[i]);
    }
    for (size_t i = 0; i < row_count; i++) {
        const struct row *row = &rows[i];
        logprobs[i] = (double)row->target - (double)row->log_sum.largest - log(row->log_sum.sum);
        is_argmax[i] = row->is_argmax && isfinite(logprobs[i]) ? 1 : 0;
    }
}
