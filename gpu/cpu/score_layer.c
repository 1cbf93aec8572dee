#include "gpu/cpu/score_layer.h"

#include "gpu/cpu/score_experts.h"

#include <string.h>

/* The norm of the family. Without norms before attention and MLP these get what is there. */
static void norm_rows(const struct cpu_score_model *model, const float *x, size_t rows, const float *weight,
                      const float *bias, float *out)
{
    size_t d = (size_t)model->config.hidden_size;
    double epsilon = model->config.norm_epsilon;
    for (size_t i = 0; i < rows; i++) {
        if (model->architecture->norm == SCORE_NORM_RMS)
            model->kernels->rms_norm(x + i * d, d, weight, epsilon, out + i * d);
        else
            model->kernels->layer_norm(x + i * d, d, weight, bias, epsilon, out + i * d);
    }
}

/* A row of a table, as wide as the residual stream. */
static void convert_row(const struct cpu_score_model *model, const struct tensor_view *table, size_t row,
                        float *out)
{
    size_t d = (size_t)model->config.hidden_size;
    size_t row_bytes = d * (tensor_dtype_bits(table->dtype) / 8);
    model->kernels->convert(table->dtype, (const unsigned char *)table->data + row * row_bytes, d, out);
}

void score_layer_embed(const struct cpu_score_model *model, const struct score_scratch *scratch,
                       size_t input_count, float *hidden)
{
    const struct tensor_view *view = &model->views.model[SCORE_ROLE_EMBEDDING];
    size_t d = (size_t)model->config.hidden_size;
    for (size_t i = 0; i < input_count; i++)
        convert_row(model, view, scratch->packed.ids[i], hidden + i * d);
    const float factor = score_factor(model->config.multipliers.embedding);
    for (size_t i = 0; model->config.multipliers.embedding > 0 && i < input_count * d; i++)
        hidden[i] *= factor;
    view = &model->views.model[SCORE_ROLE_POSITIONS];
    for (size_t i = 0; view->data && i < input_count; i++) {
        convert_row(model, view, scratch->packed.positions[i], scratch->normed);
        model->kernels->add(hidden + i * d, scratch->normed, d);
    }
    if (model->embedding_norm_weight)
        norm_rows(model, hidden, input_count, model->embedding_norm_weight, model->embedding_norm_bias,
                  hidden);
}

/* Without a bias, nothing. */
static void add_to_rows(const struct cpu_score_model *model, const float *bias, size_t width, size_t rows,
                        float *x)
{
    for (size_t i = 0; bias && i < rows; i++)
        model->kernels->add(x + i * width, bias, width);
}

/* NaN stays what it is. */
static void cut(float *x, size_t count, float limit)
{
    for (size_t i = 0; i < count; i++)
        x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
}

/* A layer at work on a batch. */
struct step {
    const struct cpu_score_model *model;
    const struct score_layer *layer;
    const struct score_rotary *rotary; /* NULL: the layer does not rotate */
    float scale;                       /* of attention */
    size_t window;                     /* likewise; 0: there is none */
    size_t mlp_size;                   /* of the MLP that all inputs go through; likewise */
    const struct score_plan_batch *batch;
    const struct score_scratch *scratch;
};

/* out = x W^T of rows without gaps, by outputs [begin, end) of a matrix. */
static void multiply(const struct step *step, const struct gemm_matrix *matrix, size_t begin, size_t end,
                     const float *x, size_t rows, float *out)
{
    const struct gemm_rows all = {
        .count = rows, .a = x, .a_stride = matrix->columns, .out = out, .out_stride = end - begin};
    gemm_multiply(matrix, begin, end, &all, step->scratch->workspace);
}

/* The heads' queries or keys; without a norm, nothing. */
static void normalize_heads(const struct cpu_score_model *model, const float *norm_weight, size_t head_count,
                            float *heads)
{
    const size_t width = head_count * model->head_size;
    const size_t normed = model->architecture->head_norm == SCORE_HEAD_NORM_EACH ? model->head_size : width;
    for (size_t i = 0; norm_weight && i < width; i += normed)
        model->kernels->rms_norm(heads + i, normed, norm_weight, model->config.norm_epsilon, heads + i);
}

/* Queries or keys at one position, where the layer rotates. */
static void rotate(const struct step *step, uint32_t position, float *row, size_t head_count)
{
    const struct cpu_score_model *model = step->model;
    if (!step->rotary)
        return;
    if (model->architecture->has_neighbour_pairs)
        attention_rotate_neighbours(step->rotary, position, row, head_count, model->head_size);
    else
        attention_rotate(step->rotary, position, row, head_count, model->head_size);
}

/* Rows of queries, and of keys and values, from their product on: the bias is added, all are cut to the
 * limit, queries and keys are normalised, before or after that, and rotated. */
static void finish_projections(const struct step *step, const uint32_t *rows_of, size_t row_count,
                               int has_queries, int has_keys, float *rows)
{
    const struct cpu_score_model *model = step->model;
    const float *const *vectors = step->layer->vectors;
    const float *bias = vectors[SCORE_VECTOR_QKV_BIAS];
    const size_t queries = has_queries ? (size_t)model->config.head_count : 0;
    const size_t keys = has_keys ? (size_t)score_key_value_heads(&model->config) : 0;
    const size_t query_width = queries * model->head_size, width = query_width + 2 * keys * model->head_size;
    const float limit = (float)model->config.qkv_limit; /* 0, if it is less than float32 holds */
    const int is_cut = model->config.qkv_limit > 0, is_late = model->architecture->is_cut_after_norm;
    if (bias && !has_queries)
        bias += model->query_width;
    for (size_t i = 0; i < row_count; i++) {
        float *row = rows + i * width;
        uint32_t position = step->scratch->packed.positions[rows_of ? rows_of[i] : i];
        if (bias)
            model->kernels->add(row, bias, width);
        if (is_cut && !is_late)
            cut(row, width, limit);
        normalize_heads(model, vectors[SCORE_VECTOR_QUERY_NORM_WEIGHT], queries, row);
        normalize_heads(model, vectors[SCORE_VECTOR_KEY_NORM_WEIGHT], keys, row + query_width);
        if (is_cut && is_late)
            cut(row, width, limit);
        rotate(step, position, row, queries);
        rotate(step, position, row + query_width, keys);
    }
}

static struct attention_document document_of(const struct step *step)
{
    const struct cpu_score_model *model = step->model;
    return (struct attention_document){.head_count = (size_t)model->config.head_count,
                                       .head_size = model->head_size,
                                       .key_head_count = (size_t)score_key_value_heads(&model->config),
                                       .window = step->window,
                                       .scale = step->scale,
                                       .has_alibi = model->architecture->has_alibi};
}

/* Attention of all inputs: `x` [inputs, d] to `attended` [inputs, q]. */
static void attend_all(const struct step *step, const float *x)
{
    const struct cpu_score_model *model = step->model;
    const struct score_scratch *scratch = step->scratch;
    size_t q = model->query_width, kv = model->key_value_width, width = q + 2 * kv;
    size_t inputs = step->batch->input_count;
    multiply(step, &step->layer->matrices[SCORE_MATRIX_QKV], 0, width, x, inputs, scratch->wide);
    finish_projections(step, NULL, inputs, 1, 1, scratch->wide);
    for (size_t i = 0; i < step->batch->document_count; i++) {
        size_t begin = scratch->packed.offsets[i], end = scratch->packed.offsets[i + 1];
        const float *rows = scratch->wide + begin * width;
        struct attention_document document = document_of(step);
        document.query_count = end - begin;
        document.query_position = 0;
        document.queries = rows;
        document.query_stride = width;
        document.keys = rows + q;
        document.values = rows + q + kv;
        document.key_stride = width;
        document.out = scratch->attended + begin * q;
        document.out_stride = q;
        attention_run(&document, model->kernels, model->engine, scratch->attention, scratch->workspace);
    }
}

/* Attention of the inputs that predict a target: `x` [inputs, d] to the first rows of `attended`, [targets,
 * q]. Keys and values of all inputs, queries of the chosen rows alone: they are gathered into `attended`, and
 * multiplied into `normed`, which may be `x`. */
static void attend_targets(const struct step *step, const float *x)
{
    const struct cpu_score_model *model = step->model;
    const struct score_scratch *scratch = step->scratch;
    const struct score_packed *packed = &scratch->packed;
    const struct gemm_matrix *qkv = &step->layer->matrices[SCORE_MATRIX_QKV];
    size_t d = (size_t)model->config.hidden_size, targets = step->batch->target_count, target = 0;
    size_t q = model->query_width, kv = model->key_value_width;
    float *queries = scratch->normed;
    multiply(step, qkv, q, q + 2 * kv, x, step->batch->input_count, scratch->wide);
    finish_projections(step, NULL, step->batch->input_count, 0, 1, scratch->wide);
    for (size_t i = 0; i < targets; i++)
        memcpy(scratch->attended + i * d, x + packed->target_rows[i] * d, d * sizeof(float));
    multiply(step, qkv, 0, q, scratch->attended, targets, queries);
    finish_projections(step, packed->target_rows, targets, 1, 0, queries);
    for (size_t i = 0; i < step->batch->document_count; i++) {
        size_t begin = packed->offsets[i], end = packed->offsets[i + 1], first = target;
        while (target < targets && packed->target_rows[target] < end)
            target++;
        struct attention_document document = document_of(step);
        document.query_count = target - first;
        document.query_position = packed->target_rows[first] - begin;
        document.queries = queries + first * q;
        document.query_stride = q;
        document.keys = scratch->wide + begin * 2 * kv;
        document.values = document.keys + kv;
        document.key_stride = 2 * kv;
        document.out = scratch->attended + first * q;
        document.out_stride = q;
        attention_run(&document, model->kernels, model->engine, scratch->attention, scratch->workspace);
    }
}

/* What adds to the residual stream: the end of attention, or of the MLP. */
struct way_out {
    enum score_matrix matrix;
    enum score_vector bias, norm_weight;
    const float *x; /* [rows, x_stride], of which the matrix takes the first elements */
    size_t x_stride;
};

/* residual += factor (matrix x + bias), by way of a norm where the family has one there (that, and a factor,
 * goes through `normed`). */
static void add_product(const struct step *step, const struct way_out *way, size_t rows, float *residual)
{
    const struct cpu_score_model *model = step->model;
    const float *const *vectors = step->layer->vectors;
    const size_t d = (size_t)model->config.hidden_size;
    const int is_after = model->architecture->norm_place == SCORE_NORM_AFTER;
    const int is_apart = is_after || model->config.multipliers.residual > 0;
    const float factor = score_factor(model->config.multipliers.residual);
    float *out = is_apart ? step->scratch->normed : residual;
    const struct gemm_rows all = {.count = rows,
                                  .a = way->x,
                                  .a_stride = way->x_stride,
                                  .out = out,
                                  .out_stride = d,
                                  .is_sum = !is_apart};
    gemm_multiply(&step->layer->matrices[way->matrix], 0, d, &all, step->scratch->workspace);
    add_to_rows(model, vectors[way->bias], d, rows, out);
    if (!is_apart)
        return;
    if (is_after)
        norm_rows(model, out, rows, vectors[way->norm_weight], NULL, out);
    for (size_t i = 0; !is_after && i < rows * d; i++)
        out[i] *= factor;
    for (size_t i = 0; i < rows; i++)
        model->kernels->add(residual + i * d, out + i * d, d);
}

/* residual += the MLP's answer to `x`. */
static void run_mlp(const struct step *step, const float *x, size_t rows, float *residual)
{
    const struct cpu_score_model *model = step->model;
    const struct score_kernels *kernels = model->kernels;
    const float *bias = step->layer->vectors[SCORE_VECTOR_MLP_UP_BIAS];
    const enum score_activation activation = model->config.activation;
    const size_t width = step->mlp_size, up = width * (model->architecture->has_gate ? 2 : 1);
    float *wide = step->scratch->wide;
    const struct way_out down = {.matrix = SCORE_MATRIX_MLP_DOWN,
                                 .bias = SCORE_VECTOR_MLP_DOWN_BIAS,
                                 .norm_weight = SCORE_VECTOR_MLP_NORM_WEIGHT,
                                 .x = wide,
                                 .x_stride = up};
    multiply(step, &step->layer->matrices[SCORE_MATRIX_MLP_UP], 0, up, x, rows, wide);
    if (model->architecture->has_gate)
        add_to_rows(model, bias, up, rows, wide);
    for (size_t i = 0; i < rows; i++) {
        float *row = wide + i * up;
        if (model->architecture->has_gate)
            kernels->gate(activation, row, row + width, width);
        else if (activation == SCORE_ACTIVATION_XIELU)
            kernels->xielu(&step->layer->xielu, row, width);
        else
            kernels->activate(activation, row, bias, width);
    }
    add_product(step, &down, rows, residual);
}

/* After the final norm: norm(activation(head x + bias)), where the family has that. */
static void run_head(const struct step *step, size_t rows, float *x)
{
    const struct cpu_score_model *model = step->model;
    const size_t d = (size_t)model->config.hidden_size;
    float *wide = step->scratch->normed;
    if (!model->head_norm_weight)
        return;
    multiply(step, &step->layer->matrices[SCORE_MATRIX_HEAD], 0, d, x, rows, wide);
    for (size_t i = 0; i < rows; i++)
        model->kernels->activate(model->config.head_activation, wide + i * d, model->head_bias, d);
    norm_rows(model, wide, rows, model->head_norm_weight, model->head_norm_bias, x);
}

void score_layer_run(const struct cpu_score_model *model, const struct score_rotary *rotary, uint64_t index,
                     const struct score_plan_batch *batch, struct score_scratch *scratch, float *hidden,
                     float *out)
{
    const struct score_config *config = &model->config;
    const struct score_layer *layer = &model->layers[index];
    const struct step step = {.model = model,
                              .layer = layer,
                              .rotary = score_layer_is_rotated(config, index) ? rotary : NULL,
                              .scale = (float)score_attention_scale(config, index),
                              .window = (size_t)score_layer_window(config, index),
                              .mlp_size = (size_t)score_mlp_size(config, index),
                              .batch = batch,
                              .scratch = scratch};
    const struct way_out attended = {.matrix = SCORE_MATRIX_ATTENTION_OUT,
                                     .bias = SCORE_VECTOR_ATTENTION_OUT_BIAS,
                                     .norm_weight = SCORE_VECTOR_ATTENTION_NORM_WEIGHT,
                                     .x = scratch->attended,
                                     .x_stride = model->query_width};
    const float *const *vectors = layer->vectors;
    const int is_before = model->architecture->norm_place == SCORE_NORM_BEFORE;
    const int is_bare = !is_before || (index == 0 && model->architecture->has_bare_first_layer);
    size_t d = (size_t)config->hidden_size, rows = batch->input_count;
    if (!is_bare)
        norm_rows(model, hidden, rows, vectors[SCORE_VECTOR_ATTENTION_NORM_WEIGHT],
                  vectors[SCORE_VECTOR_ATTENTION_NORM_BIAS], scratch->normed);
    if (index + 1 < config->layer_count) {
        attend_all(&step, is_bare ? hidden : scratch->normed);
    } else {
        attend_targets(&step, is_bare ? hidden : scratch->normed);
        rows = batch->target_count;
        for (size_t i = 0; i < rows; i++)
            memcpy(out + i * d, hidden + scratch->packed.target_rows[i] * d, d * sizeof(float));
        hidden = out;
    }
    /* With the parallel residual, the second norm sees what the first one saw. */
    if (is_before && config->has_parallel_residual)
        norm_rows(model, hidden, rows, vectors[SCORE_VECTOR_MLP_NORM_WEIGHT],
                  vectors[SCORE_VECTOR_MLP_NORM_BIAS], scratch->normed);
    add_product(&step, &attended, rows, hidden);
    if (is_before && !config->has_parallel_residual)
        norm_rows(model, hidden, rows, vectors[SCORE_VECTOR_MLP_NORM_WEIGHT],
                  vectors[SCORE_VECTOR_MLP_NORM_BIAS], scratch->normed);
    if (score_layer_has_experts(config, index))
        score_experts_run(model, layer, scratch, scratch->normed, rows, hidden);
    if (step.mlp_size)
        run_mlp(&step, is_before ? scratch->normed : hidden, rows, hidden);
    if (index + 1 == config->layer_count) {
        norm_rows(model, hidden, rows, model->final_norm_weight, model->final_norm_bias, hidden);
        run_head(&step, rows, hidden);
    }
}
