#include "gpu/cpu/score_layer.h"

#include <stdlib.h>
#include <string.h>

static uint64_t wide_floats(const struct score_config *config)
{
    uint64_t qkv = 3 * config->hidden_size;
    return qkv > config->intermediate_size ? qkv : config->intermediate_size;
}

uint64_t score_scratch_bytes(const struct score_config *config, enum gemm_engine engine, size_t batch_inputs,
                             size_t document_inputs)
{
    uint64_t floats = (uint64_t)batch_inputs * (3 * config->hidden_size + wide_floats(config)) +
                      attention_scratch_floats(document_inputs) +
                      (uint64_t)SCORE_HEAD_ROWS * SCORE_HEAD_COLUMNS;
    uint64_t bytes = floats * sizeof(float) + (uint64_t)batch_inputs * 5 * sizeof(uint32_t);
    return bytes + gemm_workspace_bytes(engine) +
           gemm_matrix_bytes(engine, TENSOR_DTYPE_F32, SCORE_HEAD_COLUMNS, config->hidden_size);
}

static void *take(unsigned char **memory, uint64_t bytes)
{
    void *taken = *memory;
    *memory += (bytes + 63) / 64 * 64;
    return taken;
}

int score_scratch_init(struct score_scratch *scratch, const struct cpu_score_model *model,
                       const struct score_plan *plan, struct err *err)
{
    const struct score_config *config = &model->config;
    struct score_scratch made = {.memory = NULL};
    uint64_t inputs = plan->batch_inputs_max, d = config->hidden_size;
    uint64_t bytes =
        score_scratch_bytes(config, model->engine, plan->batch_inputs_max, plan->document_inputs_max) +
        16 * 64;
    unsigned char *memory = made.memory = aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
    if (!made.memory)
        return err_set(err, ERR_NO_MEMORY, "no memory for %.1f MiB to score with",
                       (double)bytes / (double)MIB);
    made.hidden = take(&memory, inputs * d * sizeof(float));
    made.normed = take(&memory, inputs * d * sizeof(float));
    made.attended = take(&memory, inputs * d * sizeof(float));
    made.wide = take(&memory, inputs * wide_floats(config) * sizeof(float));
    made.attention = take(&memory, attention_scratch_floats(plan->document_inputs_max) * sizeof(float));
    made.logits = take(&memory, (uint64_t)SCORE_HEAD_ROWS * SCORE_HEAD_COLUMNS * sizeof(float));
    made.vocabulary =
        take(&memory, gemm_matrix_bytes(model->engine, TENSOR_DTYPE_F32, SCORE_HEAD_COLUMNS, d));
    made.workspace = take(&memory, gemm_workspace_bytes(model->engine));
    made.packed.ids = take(&memory, inputs * sizeof(uint32_t));
    made.packed.positions = take(&memory, inputs * sizeof(uint32_t));
    made.packed.offsets = take(&memory, (plan->batch_documents_max + 1) * sizeof(uint32_t));
    made.packed.target_rows = take(&memory, plan->batch_targets_max * sizeof(uint32_t));
    made.packed.target_ids = take(&memory, plan->batch_targets_max * sizeof(uint32_t));
    *scratch = made;
    return 0;
}

void score_scratch_done(struct score_scratch *scratch)
{
    if (!scratch)
        return;
    free(scratch->memory);
    *scratch = (struct score_scratch){.memory = NULL};
}

void score_layer_embed(const struct cpu_score_model *model, const struct score_scratch *scratch,
                       size_t input_count, float *hidden)
{
    const struct tensor_view *view = &model->views.model[SCORE_ROLE_EMBEDDING];
    size_t d = (size_t)model->config.hidden_size;
    size_t row_bytes = d * (tensor_dtype_bits(view->dtype) / 8);
    for (size_t i = 0; i < input_count; i++)
        model->kernels->convert(view->dtype,
                                (const unsigned char *)view->data + scratch->packed.ids[i] * row_bytes, d,
                                hidden + i * d);
}

static void norm_rows(const struct cpu_score_model *model, const float *x, size_t rows, const float *weight,
                      const float *bias, float *out)
{
    size_t d = (size_t)model->config.hidden_size;
    for (size_t i = 0; i < rows; i++)
        model->kernels->layer_norm(x + i * d, d, weight, bias, model->config.norm_epsilon, out + i * d);
}

/* Adds the bias to rows of `parts` consecutive vectors of size d and rotates the first `rotated` of them. */
static void bias_and_rotate(const struct cpu_score_model *model, const struct attention_rotary *rotary,
                            const float *bias, const uint32_t *positions, const uint32_t *rows_of,
                            size_t row_count, size_t parts, size_t rotated, float *rows)
{
    size_t d = (size_t)model->config.hidden_size, heads = (size_t)model->config.head_count;
    for (size_t i = 0; i < row_count; i++) {
        float *row = rows + i * parts * d;
        uint32_t position = positions[rows_of ? rows_of[i] : i];
        model->kernels->add(row, bias, parts * d);
        for (size_t part = 0; part < rotated; part++)
            attention_rotate(rotary, position, row + part * d, heads, model->head_size);
    }
}

/* Attention of all inputs: `normed` to `attended`, both [inputs, d]. */
static void attend_all(const struct cpu_score_model *model, const struct attention_rotary *rotary,
                       const struct score_layer *layer, const struct score_plan_batch *batch,
                       const struct score_scratch *scratch)
{
    size_t d = (size_t)model->config.hidden_size, inputs = batch->input_count;
    gemm_multiply(&layer->matrices[SCORE_MATRIX_QKV], 0, 3 * d, scratch->normed, d, inputs, scratch->wide,
                  3 * d, 0, scratch->workspace);
    bias_and_rotate(model, rotary, layer->qkv_bias, scratch->packed.positions, NULL, inputs, 3, 2,
                    scratch->wide);
    for (size_t i = 0; i < batch->document_count; i++) {
        size_t begin = scratch->packed.offsets[i], end = scratch->packed.offsets[i + 1];
        const float *rows = scratch->wide + begin * 3 * d;
        struct attention_document document = {.head_count = (size_t)model->config.head_count,
                                              .head_size = model->head_size,
                                              .query_count = end - begin,
                                              .query_position = 0,
                                              .queries = rows,
                                              .query_stride = 3 * d,
                                              .keys = rows + d,
                                              .values = rows + 2 * d,
                                              .key_stride = 3 * d,
                                              .out = scratch->attended + begin * d,
                                              .out_stride = d};
        attention_run(&document, model->kernels, scratch->attention);
    }
}

/* Attention of the inputs that predict a target: `normed` [inputs, d] to the first rows of `attended`. Keys
 * and values of all inputs, queries of the chosen rows alone (they are gathered into `attended`, multiplied
 * into `normed`). */
static void attend_targets(const struct cpu_score_model *model, const struct attention_rotary *rotary,
                           const struct score_layer *layer, const struct score_plan_batch *batch,
                           const struct score_scratch *scratch)
{
    size_t d = (size_t)model->config.hidden_size, target = 0;
    const struct score_packed *packed = &scratch->packed;
    const struct gemm_matrix *qkv = &layer->matrices[SCORE_MATRIX_QKV];
    float *queries = scratch->normed;
    gemm_multiply(qkv, d, 3 * d, scratch->normed, d, batch->input_count, scratch->wide, 2 * d, 0,
                  scratch->workspace);
    bias_and_rotate(model, rotary, layer->qkv_bias + d, packed->positions, NULL, batch->input_count, 2, 1,
                    scratch->wide);
    for (size_t i = 0; i < batch->target_count; i++)
        memcpy(scratch->attended + i * d, scratch->normed + packed->target_rows[i] * d, d * sizeof(float));
    gemm_multiply(qkv, 0, d, scratch->attended, d, batch->target_count, queries, d, 0, scratch->workspace);
    bias_and_rotate(model, rotary, layer->qkv_bias, packed->positions, packed->target_rows,
                    batch->target_count, 1, 1, queries);
    for (size_t i = 0; i < batch->document_count; i++) {
        size_t begin = packed->offsets[i], end = packed->offsets[i + 1], first = target;
        while (target < batch->target_count && packed->target_rows[target] < end)
            target++;
        struct attention_document document = {.head_count = (size_t)model->config.head_count,
                                              .head_size = model->head_size,
                                              .query_count = target - first,
                                              .query_position = packed->target_rows[first] - begin,
                                              .queries = queries + first * d,
                                              .query_stride = d,
                                              .keys = scratch->wide + begin * 2 * d,
                                              .values = scratch->wide + begin * 2 * d + d,
                                              .key_stride = 2 * d,
                                              .out = scratch->attended + first * d,
                                              .out_stride = d};
        attention_run(&document, model->kernels, scratch->attention);
    }
}

void score_layer_run(const struct cpu_score_model *model, const struct attention_rotary *rotary,
                     uint64_t index, const struct score_plan_batch *batch, struct score_scratch *scratch,
                     float *hidden, float *out)
{
    const struct score_config *config = &model->config;
    const struct score_kernels *kernels = model->kernels;
    const struct score_layer *layer = &model->layers[index];
    size_t d = (size_t)config->hidden_size, wide = (size_t)config->intermediate_size;
    size_t rows = batch->input_count;
    norm_rows(model, hidden, rows, layer->attention_norm_weight, layer->attention_norm_bias, scratch->normed);
    if (index + 1 < config->layer_count) {
        attend_all(model, rotary, layer, batch, scratch);
    } else {
        attend_targets(model, rotary, layer, batch, scratch);
        rows = batch->target_count;
        for (size_t i = 0; i < rows; i++)
            memcpy(out + i * d, hidden + scratch->packed.target_rows[i] * d, d * sizeof(float));
        hidden = out;
    }
    /* With the parallel residual, the second norm sees what the first one saw. */
    if (config->has_parallel_residual)
        norm_rows(model, hidden, rows, layer->mlp_norm_weight, layer->mlp_norm_bias, scratch->normed);
    gemm_multiply(&layer->matrices[SCORE_MATRIX_ATTENTION_OUT], 0, d, scratch->attended, d, rows, hidden, d,
                  1, scratch->workspace);
    for (size_t i = 0; i < rows; i++)
        kernels->add(hidden + i * d, layer->attention_out_bias, d);
    if (!config->has_parallel_residual)
        norm_rows(model, hidden, rows, layer->mlp_norm_weight, layer->mlp_norm_bias, scratch->normed);
    gemm_multiply(&layer->matrices[SCORE_MATRIX_MLP_UP], 0, wide, scratch->normed, d, rows, scratch->wide,
                  wide, 0, scratch->workspace);
    for (size_t i = 0; i < rows; i++)
        kernels->activate(config->activation, scratch->wide + i * wide, layer->mlp_up_bias, wide);
    gemm_multiply(&layer->matrices[SCORE_MATRIX_MLP_DOWN], 0, d, scratch->wide, wide, rows, hidden, d, 1,
                  scratch->workspace);
    for (size_t i = 0; i < rows; i++)
        kernels->add(hidden + i * d, layer->mlp_down_bias, d);
    if (index + 1 == config->layer_count)
        norm_rows(model, hidden, rows, model->final_norm_weight, model->final_norm_bias, hidden);
}
