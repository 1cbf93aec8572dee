#include "gpu/cpu/score_model_vectors.h"

#include <math.h>
#include <stdatomic.h>

#define VALUES_PER_TURN 256U /* of a row whose length is measured */

/* Of the head; its bias is there, and zero where the model has none. */
static const enum score_role head_roles[] = {SCORE_ROLE_HEAD_NORM_WEIGHT, SCORE_ROLE_HEAD_NORM_BIAS,
                                             SCORE_ROLE_UNEMBEDDING_BIAS};

uint64_t score_model_vector_bytes(const struct cpu_score_model *model)
{
    const int has_head = model->views.model[SCORE_ROLE_HEAD_WEIGHT].data != NULL;
    uint64_t floats = (has_head ? 5 : 4) * model->config.hidden_size;
    for (size_t i = 0; i < sizeof head_roles / sizeof head_roles[0]; i++) {
        const struct tensor_view *view = &model->views.model[head_roles[i]];
        floats += view->data ? view->shape.dim[0] : 0;
    }
    floats += model->architecture->has_unit_rows ? model->config.vocabulary_rows : 0;
    for (uint64_t i = 0; i < model->config.layer_count; i++)
        floats += score_vectors_floats(model->views.layers[i]);
    return floats * sizeof(float);
}

/* What a norm does not have, ones and zeros do. The final norm lacks the same, and its serve all layers. */
static void share_norm(const struct cpu_score_model *model, struct score_layer *layer)
{
    const struct {
        enum score_vector vector;
        const float *otherwise;
    } parts[] = {
        {SCORE_VECTOR_ATTENTION_NORM_WEIGHT, model->final_norm_weight},
        {SCORE_VECTOR_ATTENTION_NORM_BIAS, model->final_norm_bias},
        {SCORE_VECTOR_MLP_NORM_WEIGHT, model->final_norm_weight},
        {SCORE_VECTOR_MLP_NORM_BIAS, model->final_norm_bias},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (!layer->vectors[parts[i].vector])
            layer->vectors[parts[i].vector] = parts[i].otherwise;
}

/* Returns where the vector is; NULL without data. */
static float *fill_vector(const struct cpu_score_model *model, enum score_role role, float *memory)
{
    const struct tensor_view *view = &model->views.model[role];
    if (!view->data)
        return NULL;
    model->kernels->convert(view->dtype, view->data, (size_t)view->shape.dim[0], memory);
    return memory;
}

/* Returns the memory behind them. Norms without a bias take the final norm's, which is zero then. */
static float *fill_head_vectors(struct cpu_score_model *model, float *memory)
{
    if (model->views.model[SCORE_ROLE_HEAD_WEIGHT].data) {
        (void)fill_vector(model, SCORE_ROLE_HEAD_BIAS, memory);
        model->head_bias = memory;
        memory += model->config.hidden_size;
    }
    float **head[] = {&model->head_norm_weight, &model->head_norm_bias, &model->unembedding_bias};
    for (size_t i = 0; i < sizeof head_roles / sizeof head_roles[0]; i++)
        if ((*head[i] = fill_vector(model, head_roles[i], memory)))
            memory += model->views.model[head_roles[i]].shape.dim[0];
    if (model->embedding_norm_weight && !model->embedding_norm_bias)
        model->embedding_norm_bias = model->final_norm_bias;
    if (model->head_norm_weight && !model->head_norm_bias)
        model->head_norm_bias = model->final_norm_bias;
    return memory;
}

struct scales {
    const struct cpu_score_model *model;
    atomic_size_t next;
};

/* One by the length of each row of the unembedding. The sum is float64's, so that no square is too large or
 * too small for it; a NaN stays one. */
static void fill_scales(void *context, int index)
{
    struct scales *scales = context;
    const struct cpu_score_model *model = scales->model;
    const struct tensor_view *view = &model->views.model[SCORE_ROLE_UNEMBEDDING];
    const size_t rows = (size_t)view->shape.dim[0], d = (size_t)view->shape.dim[1];
    const size_t element_bytes = tensor_dtype_bits(view->dtype) / 8;
    float values[VALUES_PER_TURN];
    (void)index;
    for (;;) {
        const size_t begin = atomic_fetch_add(&scales->next, SCORE_ROWS_PER_TURN);
        for (size_t row = begin; row < begin + SCORE_ROWS_PER_TURN && row < rows; row++) {
            double sum = 0;
            for (size_t i = 0, count; i < d; i += count) {
                count = d - i < VALUES_PER_TURN ? d - i : VALUES_PER_TURN;
                model->kernels->convert(view->dtype,
                                        (const unsigned char *)view->data + (row * d + i) * element_bytes,
                                        count, values);
                for (size_t j = 0; j < count; j++)
                    sum += (double)values[j] * (double)values[j];
            }
            const double length = sqrt(sum);
            model->unembedding_scale[row] =
                (float)(1 / (length < SCORE_UNIT_LENGTH_MIN ? SCORE_UNIT_LENGTH_MIN : length));
        }
        if (begin + SCORE_ROWS_PER_TURN >= rows)
            return;
    }
}

/* Returns the memory behind them. */
static float *fill_unembedding_scale(struct cpu_score_model *model, float *memory)
{
    struct scales scales = {.model = model};
    if (!model->architecture->has_unit_rows)
        return memory;
    model->unembedding_scale = memory;
    cpu_threads_run(model->threads, fill_scales, &scales);
    return memory + model->config.vocabulary_rows;
}

void score_model_fill_vectors(struct cpu_score_model *model)
{
    size_t d = (size_t)model->config.hidden_size;
    float *memory = model->vector_memory;
    model->final_norm_weight = memory;
    model->final_norm_bias = memory + d;
    const int has_weight = model->views.model[SCORE_ROLE_FINAL_NORM_WEIGHT].data != NULL;
    (void)fill_vector(model, SCORE_ROLE_FINAL_NORM_WEIGHT, memory);
    (void)fill_vector(model, SCORE_ROLE_FINAL_NORM_BIAS, memory + d);
    if (has_weight && model->architecture->has_norm_offset)
        score_vectors_add_one(memory, d);
    for (size_t i = 0; !has_weight && i < d; i++)
        memory[i] = 1;
    const float factor = score_factor(model->config.multipliers.logits);
    for (size_t i = 0; model->config.multipliers.logits > 0 && i < 2 * d; i++)
        memory[i] *= factor;
    model->embedding_norm_weight = fill_vector(model, SCORE_ROLE_EMBEDDING_NORM_WEIGHT, memory + 2 * d);
    model->embedding_norm_bias = fill_vector(model, SCORE_ROLE_EMBEDDING_NORM_BIAS, memory + 3 * d);
    memory += 4 * d;
    memory = fill_unembedding_scale(model, fill_head_vectors(model, memory));
    for (uint64_t i = 0; i < model->config.layer_count; i++) {
        memory = score_vectors_fill(&model->config, model->architecture, model->kernels,
                                    model->views.layers[i], memory, model->layers[i].vectors);
        share_norm(model, &model->layers[i]);
        if (model->config.activation == SCORE_ACTIVATION_XIELU)
            model->layers[i].xielu = score_xielu_of(model->views.layers[i]);
    }
}
