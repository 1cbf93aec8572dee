#include "gpu/cpu/score_model.h"

#include "daemon/base/checked.h"
#include "gpu/cpu/score_model_vectors.h"
#include "gpu/cpu/score_scratch.h"

#include <stdatomic.h>
#include <stdlib.h>

#define COMMON_INPUTS 4096U /* of a document for which there must be room at least */

#define ROLES_MAX 4
#define NO_ROLE SCORE_ROLE_EMBEDDING /* which is of no layer */

/* The tensors that a matrix is made of, as far as the model has them, one below the other. */
static const enum score_role matrix_roles[SCORE_MATRIX_COUNT][ROLES_MAX] = {
    [SCORE_MATRIX_QKV] = {SCORE_ROLE_QKV_WEIGHT, SCORE_ROLE_QUERY_WEIGHT, SCORE_ROLE_KEY_WEIGHT,
                          SCORE_ROLE_VALUE_WEIGHT},
    [SCORE_MATRIX_ATTENTION_OUT] = {SCORE_ROLE_ATTENTION_OUT_WEIGHT},
    [SCORE_MATRIX_MLP_UP] = {SCORE_ROLE_MLP_GATE_WEIGHT, SCORE_ROLE_MLP_UP_WEIGHT},
    [SCORE_MATRIX_MLP_DOWN] = {SCORE_ROLE_MLP_DOWN_WEIGHT},
    [SCORE_MATRIX_ROUTER] = {SCORE_ROLE_ROUTER_WEIGHT},
};

/* The matrices of a layer are numbered: those of enum score_matrix, then two for each expert, in the order of
 * their memory. */
static size_t matrix_count(const struct cpu_score_model *model)
{
    return SCORE_MATRIX_COUNT + 2 * (size_t)model->config.expert_count;
}

static struct gemm_matrix *matrix_at(const struct cpu_score_model *model, uint64_t index, size_t number)
{
    struct score_layer *layer = &model->layers[index];
    if (number < SCORE_MATRIX_COUNT)
        return &layer->matrices[number];
    struct score_expert *expert = &layer->experts[(number - SCORE_MATRIX_COUNT) / 2];
    return (number - SCORE_MATRIX_COUNT) % 2 ? &expert->down : &expert->up;
}

static struct tensor_view transposed_view(const struct tensor_view *view)
{
    struct tensor_view transposed = *view;
    transposed.shape.dim[0] = view->shape.dim[1];
    transposed.shape.dim[1] = view->shape.dim[0];
    return transposed;
}

static struct gemm_stored stored_of_expert(const struct cpu_score_model *model, uint64_t layer, size_t number)
{
    const struct tensor_view *views =
        model->views.experts[layer * model->config.expert_count + (number - SCORE_MATRIX_COUNT) / 2];
    if (!score_layer_has_experts(&model->config, layer))
        return (struct gemm_stored){.part_count = 0};
    if ((number - SCORE_MATRIX_COUNT) % 2)
        return (struct gemm_stored){.parts = {views[SCORE_ROLE_EXPERT_DOWN_WEIGHT - SCORE_ROLE_EXPERT_FIRST]},
                                    .part_count = 1};
    return (struct gemm_stored){.parts = {views[SCORE_ROLE_EXPERT_GATE_WEIGHT - SCORE_ROLE_EXPERT_FIRST],
                                          views[SCORE_ROLE_EXPERT_UP_WEIGHT - SCORE_ROLE_EXPERT_FIRST]},
                                .part_count = 2};
}

/* Without parts where the family has no such matrix. */
static struct gemm_stored stored_matrix(const struct cpu_score_model *model, uint64_t layer, size_t number)
{
    if (number >= SCORE_MATRIX_COUNT)
        return stored_of_expert(model, layer, number);
    struct gemm_stored stored = {.part_count = 0};
    const struct tensor_view *head = &model->views.model[SCORE_ROLE_HEAD_WEIGHT];
    if (number == SCORE_MATRIX_HEAD && head->data && layer + 1 == model->config.layer_count)
        return (struct gemm_stored){.parts = {*head}, .part_count = 1};
    const struct tensor_view *views = model->views.layers[layer];
    for (int i = 0; i < ROLES_MAX; i++) {
        enum score_role role = matrix_roles[number][i];
        if (role != NO_ROLE && views[role].data && stored.part_count < GEMM_PARTS_MAX)
            stored.parts[stored.part_count++] =
                model->architecture->is_transposed ? transposed_view(&views[role]) : views[role];
    }
    stored.is_transposed = model->architecture->is_transposed;
    if (number == SCORE_MATRIX_QKV && model->architecture->qkv_order == SCORE_QKV_ORDER_PER_HEAD) {
        stored.head_count = (size_t)model->config.head_count;
        stored.head_size = model->head_size;
    }
    return stored;
}

static uint64_t stored_bytes(const struct cpu_score_model *model, const struct gemm_stored *stored)
{
    return stored->part_count ? gemm_matrix_bytes(model->engine, gemm_stored_dtype(stored),
                                                  gemm_stored_rows(stored), stored->parts[0].shape.dim[1])
                              : 0;
}

/* Bytes of the prepared matrices of one layer. */
static uint64_t layer_bytes(const struct cpu_score_model *model, uint64_t layer)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < matrix_count(model); i++) {
        struct gemm_stored stored = stored_matrix(model, layer, i);
        bytes += stored_bytes(model, &stored);
    }
    return bytes;
}

/* -- Matrices ------------------------------------------------------------------------------------- */

struct fill {
    struct cpu_score_model *model;
    struct gemm_matrix *matrix;
    const struct gemm_stored *stored;
    atomic_size_t next;
};

static void fill_rows(void *context, int index)
{
    struct fill *fill = context;
    (void)index;
    for (;;) {
        size_t begin = atomic_fetch_add(&fill->next, SCORE_ROWS_PER_TURN);
        size_t end = begin + SCORE_ROWS_PER_TURN < fill->matrix->rows ? begin + SCORE_ROWS_PER_TURN
                                                                      : fill->matrix->rows;
        if (begin >= fill->matrix->rows)
            return;
        gemm_matrix_fill(fill->matrix, fill->model->kernels, fill->stored, begin, end);
    }
}

static void fill_matrix(struct cpu_score_model *model, struct gemm_matrix *matrix,
                        const struct gemm_stored *stored)
{
    struct fill fill = {.model = model, .matrix = matrix, .stored = stored};
    cpu_threads_run(model->threads, fill_rows, &fill);
}

static struct gemm_stored stored_unembedding(const struct cpu_score_model *model)
{
    return (struct gemm_stored){.parts = {model->views.model[SCORE_ROLE_UNEMBEDDING]}, .part_count = 1};
}

/* Returns the memory behind the matrix. */
static unsigned char *lay_out_matrix(const struct cpu_score_model *model, const struct gemm_stored *stored,
                                     unsigned char *memory, struct gemm_matrix *matrix)
{
    gemm_matrix_init(matrix, model->engine, gemm_stored_dtype(stored), (size_t)gemm_stored_rows(stored),
                     (size_t)stored->parts[0].shape.dim[1], memory);
    return memory + stored_bytes(model, stored);
}

static void lay_out_matrices(struct cpu_score_model *model)
{
    unsigned char *memory = model->matrix_memory;
    for (uint64_t i = 0; i < model->config.layer_count; i++) {
        if (!model->is_resident)
            memory = model->matrix_memory;
        if (model->config.expert_count)
            model->layers[i].experts = &model->experts[i * model->config.expert_count];
        for (size_t j = 0; j < matrix_count(model); j++) {
            struct gemm_stored stored = stored_matrix(model, i, j);
            if (stored.part_count)
                memory = lay_out_matrix(model, &stored, memory, matrix_at(model, i, j));
        }
    }
    if (model->is_resident) {
        struct gemm_stored stored = stored_unembedding(model);
        (void)lay_out_matrix(model, &stored, memory, &model->unembedding);
    }
}

static void fill_layer(struct cpu_score_model *model, uint64_t layer)
{
    for (size_t j = 0; j < matrix_count(model); j++) {
        struct gemm_stored stored = stored_matrix(model, layer, j);
        if (stored.part_count)
            fill_matrix(model, matrix_at(model, layer, j), &stored);
    }
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
    struct gemm_stored stored = stored_unembedding(model);
    fill_matrix(model, &model->unembedding, &stored);
    return 0;
}

static int choose_residence(struct cpu_score_model *model, uint64_t *ret_matrix_bytes, struct err *err)
{
    const struct score_config *config = &model->config;
    uint64_t resident = 0, streamed = 0, vectors = score_model_vector_bytes(model);
    for (uint64_t i = 0; i < config->layer_count; i++) {
        uint64_t bytes = layer_bytes(model, i);
        resident += bytes;
        streamed = bytes > streamed ? bytes : streamed;
    }
    const struct gemm_stored unembedding = stored_unembedding(model);
    resident += stored_bytes(model, &unembedding);
    uint64_t budget = model->budget_bytes ? model->budget_bytes : UINT64_MAX;
    /* Room for one document of the longest kind; of a context that is too long for that, for one of those
     * that are common, and whoever brings a longer one is told then. */
    for (uint64_t inputs = config->max_positions;; inputs = COMMON_INPUTS) {
        uint64_t scratch = score_scratch_bytes(model, (size_t)inputs, (size_t)inputs);
        model->is_resident = resident + vectors + scratch <= budget;
        *ret_matrix_bytes = model->is_resident ? resident : streamed;
        if (*ret_matrix_bytes + vectors + scratch <= budget)
            return 0;
        if (inputs <= COMMON_INPUTS)
            return err_set(
                err, ERR_NO_MEMORY,
                "the model needs %.1f MiB (weights of one layer %.1f, other weights %.1f, one document "
                "of %llu tokens %.1f), more than the budget of %.1f MiB; raise device-memory-mb",
                (double)(streamed + vectors + scratch) / (double)MIB, (double)streamed / (double)MIB,
                (double)vectors / (double)MIB, (unsigned long long)inputs, (double)scratch / (double)MIB,
                (double)budget / (double)MIB);
    }
}

/* What follows from the configuration. */
static int find_sizes(struct cpu_score_model *model, struct err *err)
{
    const struct score_config *config = &model->config;
    int code = score_architecture_find(config->architecture, &model->architecture, err);
    if (code)
        return code;
    model->head_size = (size_t)score_head_size(config);
    model->query_width = (size_t)score_query_width(config);
    model->key_value_width = (size_t)score_key_value_width(config);
    model->up_width = (size_t)config->intermediate_size * (model->architecture->has_gate ? 2 : 1);
    model->mlp_up_width = (size_t)score_mlp_size_max(config) * (model->architecture->has_gate ? 2 : 1);
    /* Keys and values are multiplied apart from queries in the last layer: they must begin at a border. */
    if (model->query_width % GEMM_ROWS_STEP)
        model->engine = GEMM_ENGINE_BLAS;
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
    uint64_t matrix_bytes = 0;
    int code = score_weights_find(source, &made.views, err);
    if (code)
        return code;
    if ((code = find_sizes(&made, err)) || (code = choose_residence(&made, &matrix_bytes, err)))
        goto out;
    made.memory_bytes = matrix_bytes + score_model_vector_bytes(&made);
    made.loaded_layer = made.config.layer_count;
    made.layers = calloc((size_t)made.config.layer_count, sizeof(*made.layers));
    made.experts =
        calloc((size_t)(made.config.layer_count * made.config.expert_count) + 1, sizeof(*made.experts));
    made.vector_memory = calloc(1, (size_t)score_model_vector_bytes(&made));
    made.matrix_memory = aligned_alloc(64, (size_t)matrix_bytes);
    if (!made.layers || !made.experts || !made.vector_memory || !made.matrix_memory) {
        code = err_set(err, ERR_NO_MEMORY, "no memory for the %.1f MiB of the model's weights",
                       (double)made.memory_bytes / (double)MIB);
        goto out;
    }
    score_model_fill_vectors(&made);
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
    free(model->experts);
    free(model->vector_memory);
    free(model->matrix_memory);
    score_weights_free(&model->views);
    *model = (struct cpu_score_model){.layers = NULL};
}
