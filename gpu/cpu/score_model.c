#include "gpu/cpu/score_model.h"

#include "daemon/base/checked.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_PER_TURN 64U /* rows that a thread prepares before it takes the next ones */

static const enum score_role matrix_roles[SCORE_MATRIX_COUNT] = {
    [SCORE_MATRIX_QKV] = SCORE_ROLE_QKV_WEIGHT,
    [SCORE_MATRIX_ATTENTION_OUT] = SCORE_ROLE_ATTENTION_OUT_WEIGHT,
    [SCORE_MATRIX_MLP_UP] = SCORE_ROLE_MLP_UP_WEIGHT,
    [SCORE_MATRIX_MLP_DOWN] = SCORE_ROLE_MLP_DOWN_WEIGHT,
};

/* Bytes of the prepared matrices of one layer. */
static uint64_t layer_bytes(enum gemm_engine engine, const struct tensor_view *views)
{
    uint64_t bytes = 0;
    for (int i = 0; i < SCORE_MATRIX_COUNT; i++) {
        const struct tensor_view *view = &views[matrix_roles[i]];
        bytes += gemm_matrix_bytes(engine, view->dtype, view->shape.dim[0], view->shape.dim[1]);
    }
    return bytes;
}

/* Floats of the vectors of one layer, and of the final norm. */
static uint64_t layer_vector_floats(const struct score_config *config)
{
    return 9 * config->hidden_size + config->intermediate_size;
}

static uint64_t vector_bytes(const struct score_config *config)
{
    return (config->layer_count * layer_vector_floats(config) + 2 * config->hidden_size) * sizeof(float);
}

static void convert_vector(const struct score_kernels *kernels, const struct tensor_view *view, float *out)
{
    if (view->data)
        kernels->convert(view->dtype, view->data, (size_t)view->shape.dim[0], out);
}

static float *take(float **memory, uint64_t count)
{
    float *taken = *memory;
    *memory += count;
    return taken;
}

static void fill_qkv_bias(const struct cpu_score_model *model, const struct tensor_view *view, float *out,
                          float *scratch)
{
    size_t heads = (size_t)model->config.head_count, size = model->head_size;
    if (!view->data)
        return;
    convert_vector(model->kernels, view, scratch);
    for (size_t head = 0; head < heads; head++)
        for (size_t part = 0; part < 3; part++)
            memcpy(out + (part * heads + head) * size, scratch + (head * 3 + part) * size,
                   size * sizeof(float));
}

static int fill_vectors(struct cpu_score_model *model, struct err *err)
{
    const struct score_config *config = &model->config;
    const struct score_kernels *kernels = model->kernels;
    uint64_t d = config->hidden_size;
    float *memory = model->vector_memory;
    float *scratch = calloc(3 * (size_t)d, sizeof(float));
    if (!scratch)
        return err_set(err, ERR_NO_MEMORY, "no memory for biases");
    for (uint64_t i = 0; i < config->layer_count; i++) {
        struct score_layer *layer = &model->layers[i];
        const struct tensor_view *views = model->views.layers[i];
        convert_vector(kernels, &views[SCORE_ROLE_ATTENTION_NORM_WEIGHT],
                       layer->attention_norm_weight = take(&memory, d));
        convert_vector(kernels, &views[SCORE_ROLE_ATTENTION_NORM_BIAS],
                       layer->attention_norm_bias = take(&memory, d));
        convert_vector(kernels, &views[SCORE_ROLE_MLP_NORM_WEIGHT],
                       layer->mlp_norm_weight = take(&memory, d));
        convert_vector(kernels, &views[SCORE_ROLE_MLP_NORM_BIAS], layer->mlp_norm_bias = take(&memory, d));
        fill_qkv_bias(model, &views[SCORE_ROLE_QKV_BIAS], layer->qkv_bias = take(&memory, 3 * d), scratch);
        convert_vector(kernels, &views[SCORE_ROLE_ATTENTION_OUT_BIAS],
                       layer->attention_out_bias = take(&memory, d));
        convert_vector(kernels, &views[SCORE_ROLE_MLP_DOWN_BIAS], layer->mlp_down_bias = take(&memory, d));
        convert_vector(kernels, &views[SCORE_ROLE_MLP_UP_BIAS],
                       layer->mlp_up_bias = take(&memory, config->intermediate_size));
    }
    convert_vector(kernels, &model->views.model[SCORE_ROLE_FINAL_NORM_WEIGHT],
                   model->final_norm_weight = take(&memory, d));
    convert_vector(kernels, &model->views.model[SCORE_ROLE_FINAL_NORM_BIAS],
                   model->final_norm_bias = take(&memory, d));
    free(scratch);
    return 0;
}

/* -- Matrices ------------------------------------------------------------------------------------- */

struct fill {
    struct cpu_score_model *model;
    struct gemm_matrix *matrix;
    const struct tensor_view *view;
    struct gemm_rows order;
    atomic_size_t next;
};

static void fill_rows(void *context, int index)
{
    struct fill *fill = context;
    (void)index;
    for (;;) {
        size_t begin = atomic_fetch_add(&fill->next, ROWS_PER_TURN);
        size_t end = begin + ROWS_PER_TURN < fill->matrix->rows ? begin + ROWS_PER_TURN : fill->matrix->rows;
        if (begin >= fill->matrix->rows)
            return;
        gemm_matrix_fill(fill->matrix, fill->model->kernels, fill->view, &fill->order, begin, end);
    }
}

static void fill_matrix(struct cpu_score_model *model, struct gemm_matrix *matrix,
                        const struct tensor_view *view, enum score_matrix which)
{
    struct fill fill = {.model = model, .matrix = matrix, .view = view};
    if (which == SCORE_MATRIX_QKV && model->qkv_order == SCORE_QKV_ORDER_PER_HEAD)
        fill.order = (struct gemm_rows){(size_t)model->config.head_count, model->head_size};
    cpu_threads_run(model->threads, fill_rows, &fill);
}

static void lay_out_matrices(struct cpu_score_model *model)
{
    unsigned char *memory = model->matrix_memory;
    for (uint64_t i = 0; i < model->config.layer_count; i++) {
        if (!model->is_resident)
            memory = model->matrix_memory;
        for (int j = 0; j < SCORE_MATRIX_COUNT; j++) {
            const struct tensor_view *view = &model->views.layers[i][matrix_roles[j]];
            size_t rows = (size_t)view->shape.dim[0], columns = (size_t)view->shape.dim[1];
            gemm_matrix_init(&model->layers[i].matrices[j], model->engine, view->dtype, rows, columns,
                             memory);
            memory += gemm_matrix_bytes(model->engine, view->dtype, rows, columns);
        }
    }
    if (model->is_resident) {
        const struct tensor_view *view = &model->views.model[SCORE_ROLE_UNEMBEDDING];
        gemm_matrix_init(&model->unembedding, model->engine, view->dtype, (size_t)view->shape.dim[0],
                         (size_t)view->shape.dim[1], memory);
    }
}

static void fill_layer(struct cpu_score_model *model, uint64_t layer)
{
    for (int j = 0; j < SCORE_MATRIX_COUNT; j++)
        fill_matrix(model, &model->layers[layer].matrices[j], &model->views.layers[layer][matrix_roles[j]],
                    (enum score_matrix)j);
}

void score_model_prepare_layer(struct cpu_score_model *model, uint64_t layer)
{
    if (model->is_resident || model->loaded_layer == layer)
        return;
    fill_layer(model, layer);
    model->loaded_layer = layer;
}

/* All that a resident model keeps. */
static int fill_matrices(struct cpu_score_model *model, struct err *err)
{
    for (uint64_t i = 0; i < model->config.layer_count; i++) {
        if (score_watch_look(&model->watch))
            return err_set(err, ERR_CANCELLED, "loading was cancelled");
        fill_layer(model, i);
    }
    fill_matrix(model, &model->unembedding, &model->views.model[SCORE_ROLE_UNEMBEDDING], SCORE_MATRIX_COUNT);
    return 0;
}

static int choose_residence(struct cpu_score_model *model, uint64_t *ret_matrix_bytes, struct err *err)
{
    const struct score_config *config = &model->config;
    uint64_t resident = 0, streamed = 0, vectors = vector_bytes(config);
    /* What one document of the longest kind needs to be scored at all. */
    uint64_t scratch = score_scratch_bytes(config, model->engine, (size_t)config->max_positions,
                                           (size_t)config->max_positions);
    for (uint64_t i = 0; i < config->layer_count; i++) {
        uint64_t bytes = layer_bytes(model->engine, model->views.layers[i]);
        resident += bytes;
        streamed = bytes > streamed ? bytes : streamed;
    }
    resident += gemm_matrix_bytes(model->engine, model->views.model[SCORE_ROLE_UNEMBEDDING].dtype,
                                  config->vocabulary_rows, config->hidden_size);
    uint64_t budget = model->budget_bytes ? model->budget_bytes : UINT64_MAX;
    model->is_resident = resident + vectors + scratch <= budget;
    if (!model->is_resident && streamed + vectors + scratch > budget)
        return err_set(
            err, ERR_NO_MEMORY,
            "the model needs %.1f MiB (weights of one layer %.1f, other weights %.1f, one document "
            "of %llu tokens %.1f), more than the budget of %.1f MiB; raise device-memory-mb",
            (double)(streamed + vectors + scratch) / (double)MIB, (double)streamed / (double)MIB,
            (double)vectors / (double)MIB, (unsigned long long)config->max_positions,
            (double)scratch / (double)MIB, (double)budget / (double)MIB);
    *ret_matrix_bytes = model->is_resident ? resident : streamed;
    return 0;
}

int score_model_init(struct cpu_score_model *model, struct cpu_threads *threads,
                     const struct score_kernels *kernels, enum gemm_engine engine,
                     const struct score_model_source *source, struct err *err)
{
    struct cpu_score_model made = {.threads = threads,
                                   .kernels = kernels,
                                   .engine = engine,
                                   .config = source->config,
                                   .watch = source->watch,
                                   .budget_bytes = source->memory_budget_bytes};
    const struct score_architecture *architecture;
    uint64_t matrix_bytes = 0;
    int code = score_weights_find(source, &made.views, err);
    if (code)
        return code;
    if ((code = score_architecture_find(made.config.architecture, &architecture, err)) ||
        (code = choose_residence(&made, &matrix_bytes, err)))
        goto out;
    made.qkv_order = architecture->qkv_order;
    made.head_size = (size_t)(made.config.hidden_size / made.config.head_count);
    made.memory_bytes = matrix_bytes + vector_bytes(&made.config);
    made.loaded_layer = made.config.layer_count;
    made.layers = calloc((size_t)made.config.layer_count, sizeof(*made.layers));
    made.vector_memory = calloc(1, (size_t)vector_bytes(&made.config));
    made.matrix_memory = aligned_alloc(64, (size_t)matrix_bytes);
    if (!made.layers || !made.vector_memory || !made.matrix_memory) {
        code = err_set(err, ERR_NO_MEMORY, "no memory for the %.1f MiB of the model's weights",
                       (double)made.memory_bytes / (double)MIB);
        goto out;
    }
    if ((code = fill_vectors(&made, err)))
        goto out;
    lay_out_matrices(&made);
    if (made.is_resident && (code = fill_matrices(&made, err)))
        goto out;
    *model = made;
    return 0;
out:
    score_model_done(&made);
    return code;
}

void score_model_done(struct cpu_score_model *model)
{
    if (!model)
        return;
    free(model->layers);
    free(model->vector_memory);
    free(model->matrix_memory);
    score_weights_free(&model->views);
    *model = (struct cpu_score_model){.layers = NULL};
}
