#include "gpu/cuda/score_upload.h"

#include "gpu/cuda/staging.h"
#include "gpu/half.h"
#include "gpu/score_alibi.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LAYER_MATRICES 8 /* as stored, at most, beside those of experts */

/* -- Vectors ---------------------------------------------------------------------------------------- */

static float element(const struct tensor_view *view, uint64_t place)
{
    float value;
    uint16_t half;
    if (view->dtype != TENSOR_DTYPE_F16 && view->dtype != TENSOR_DTYPE_BF16) {
        memcpy(&value, (const unsigned char *)view->data + place * sizeof(value), sizeof(value));
        return value;
    }
    memcpy(&half, (const unsigned char *)view->data + place * sizeof(half), sizeof(half));
    return view->dtype == TENSOR_DTYPE_F16 ? half_from_f16(half) : half_from_bf16(half);
}

/* Without data the vector stays zero. */
static void convert_vector(const struct tensor_view *view, enum score_type type, unsigned char *to)
{
    const uint64_t elements = model_view_elements(view);
    if (elements && model_type_of(view->dtype) == type) {
        memcpy(to, view->data, (size_t)elements * score_type_bytes(type));
        return;
    }
    for (uint64_t i = 0; i < elements; i++) {
        float value = element(view, i);
        uint16_t half;
        if (type == SCORE_TYPE_F32) {
            memcpy(to + i * sizeof(value), &value, sizeof(value));
            continue;
        }
        half = type == SCORE_TYPE_F16 ? half_to_f16(value) : half_to_bf16(value);
        memcpy(to + i * sizeof(half), &half, sizeof(half));
    }
}

/* Of a norm, in zeroed memory: ones where the family has no parameters there, or has what exceeds 1. */
static void convert_norm_weight(const struct cuda_model *model, const struct tensor_view *view, float *to)
{
    convert_vector(view, SCORE_TYPE_F32, (unsigned char *)to);
    for (uint64_t i = 0;
         (!view->data || model->architecture->has_norm_offset) && i < model->config.hidden_size; i++)
        to[i] += 1;
}

/* In float32, as a norm or a product that has the factor in it. */
static void scale_vector(double multiplier, uint64_t width, float *vector)
{
    for (uint64_t i = 0; multiplier > 0 && i < width; i++)
        vector[i] *= score_factor(multiplier);
}

/* Where the image of the vectors has what the device keeps at an address. */
static void *place_of(const struct cuda_model *model, unsigned char *image, const void *to)
{
    return image + ((const unsigned char *)to - (const unsigned char *)model->vectors);
}

/* Behind so many elements. */
static void *behind(const struct cuda_model *model, void *memory, uint64_t elements)
{
    return (unsigned char *)memory + elements * score_type_bytes(model->type);
}

/* How many rows of MODEL_MATRIX_MLP_UP are before those of what goes up. */
static uint64_t gate_rows(const struct cuda_model *model)
{
    return model->up_width - model->config.intermediate_size;
}

static void fill_layer_vectors(const struct cuda_model *model, unsigned char *image, uint64_t index)
{
    const struct cuda_layer *layer = &model->layers[index];
    const uint64_t q = model->query_width, kv = model->key_value_width;
    const struct {
        enum score_role role;
        enum score_type type;
        const void *to;
    } vectors[] = {
        {SCORE_ROLE_ATTENTION_NORM_BIAS, SCORE_TYPE_F32, layer->attention_norm_bias},
        {SCORE_ROLE_MLP_NORM_BIAS, SCORE_TYPE_F32, layer->mlp_norm_bias},
        {SCORE_ROLE_QUERY_NORM_WEIGHT, SCORE_TYPE_F32, layer->query_norm_weight},
        {SCORE_ROLE_KEY_NORM_WEIGHT, SCORE_TYPE_F32, layer->key_norm_weight},
        {SCORE_ROLE_QKV_BIAS, model->type, layer->qkv_bias},
        {SCORE_ROLE_QUERY_BIAS, model->type, layer->qkv_bias},
        {SCORE_ROLE_KEY_BIAS, model->type, behind(model, layer->qkv_bias, q)},
        {SCORE_ROLE_VALUE_BIAS, model->type, behind(model, layer->qkv_bias, q + kv)},
        {SCORE_ROLE_MLP_GATE_BIAS, model->type, layer->mlp_up_bias},
        {SCORE_ROLE_MLP_UP_BIAS, model->type, behind(model, layer->mlp_up_bias, gate_rows(model))},
        {SCORE_ROLE_ATTENTION_OUT_BIAS, SCORE_TYPE_F32, layer->attention_out_bias},
        {SCORE_ROLE_MLP_DOWN_BIAS, SCORE_TYPE_F32, layer->mlp_down_bias},
        {SCORE_ROLE_ROUTER_BIAS, SCORE_TYPE_F32, layer->router_bias},
    };
    const struct tensor_view *views = model->views.layers[index];
    for (size_t j = 0; j < sizeof(vectors) / sizeof(vectors[0]); j++)
        if (vectors[j].to)
            convert_vector(&views[vectors[j].role], vectors[j].type, place_of(model, image, vectors[j].to));
    convert_norm_weight(model, &views[SCORE_ROLE_ATTENTION_NORM_WEIGHT],
                        place_of(model, image, layer->attention_norm_weight));
    convert_norm_weight(model, &views[SCORE_ROLE_MLP_NORM_WEIGHT],
                        place_of(model, image, layer->mlp_norm_weight));
    float *sum = place_of(model, image, layer->out_bias);
    float *attention = place_of(model, image, layer->attention_out_bias);
    float *mlp = place_of(model, image, layer->mlp_down_bias);
    scale_vector(model->config.multipliers.residual, model->config.hidden_size, attention);
    scale_vector(model->config.multipliers.residual, model->config.hidden_size, mlp);
    for (uint64_t j = 0; j < model->config.hidden_size; j++)
        sum[j] = attention[j] + mlp[j];
}

/* All vectors in the types that they are kept in, laid out as on the device. They are few and short: a copy
 * and a kernel for each would take longer than to convert them here. */
static void fill_vectors(const struct cuda_model *model, unsigned char *image)
{
    const struct tensor_view *views = model->views.model;
    convert_norm_weight(model, &views[SCORE_ROLE_FINAL_NORM_WEIGHT],
                        place_of(model, image, model->final_norm_weight));
    convert_vector(&views[SCORE_ROLE_FINAL_NORM_BIAS], SCORE_TYPE_F32,
                   place_of(model, image, model->final_norm_bias));
    scale_vector(model->config.multipliers.logits, model->config.hidden_size,
                 place_of(model, image, model->final_norm_weight));
    scale_vector(model->config.multipliers.logits, model->config.hidden_size,
                 place_of(model, image, model->final_norm_bias));
    if (model->embedding_norm_weight) {
        convert_vector(&views[SCORE_ROLE_EMBEDDING_NORM_WEIGHT], SCORE_TYPE_F32,
                       place_of(model, image, model->embedding_norm_weight));
        convert_vector(&views[SCORE_ROLE_EMBEDDING_NORM_BIAS], SCORE_TYPE_F32,
                       place_of(model, image, model->embedding_norm_bias));
    }
    if (model->head) {
        convert_vector(&views[SCORE_ROLE_HEAD_BIAS], SCORE_TYPE_F32,
                       place_of(model, image, model->head_bias));
        convert_norm_weight(model, &views[SCORE_ROLE_HEAD_NORM_WEIGHT],
                            place_of(model, image, model->head_norm_weight));
        convert_vector(&views[SCORE_ROLE_HEAD_NORM_BIAS], SCORE_TYPE_F32,
                       place_of(model, image, model->head_norm_bias));
    }
    if (model->unembedding_bias)
        convert_vector(&views[SCORE_ROLE_UNEMBEDDING_BIAS], SCORE_TYPE_F32,
                       place_of(model, image, model->unembedding_bias));
    for (uint64_t i = 0; model->unit_weight && i < model->config.hidden_size; i++)
        ((float *)place_of(model, image, model->unit_weight))[i] =
            (float)(1 / sqrt((double)model->config.hidden_size));
    for (uint64_t i = 0; model->slopes && i < model->config.head_count; i++)
        ((float *)place_of(model, image, model->slopes))[i] = score_alibi_slope(i, model->config.head_count);
    for (uint64_t i = 0; i < model->config.layer_count; i++)
        fill_layer_vectors(model, image, i);
}

/* -- Matrices --------------------------------------------------------------------------------------- */

/* A list of what goes to the device as it is. */
struct uploads {
    struct cuda_model *model;
    cudaStream_t stream;
    struct staging_rows *all;
    size_t count;
};

/* To rows that are `stride` elements apart there. A matrix of another type is sent and converted at once. */
static int upload_rows(struct uploads *uploads, const struct tensor_view *view, void *to, uint64_t stride,
                       struct err *err)
{
    struct cuda_model *model = uploads->model;
    const enum score_type stored = model_type_of(view->dtype);
    const uint64_t rows = view->shape.dim[0], width = view->shape.dim[1];
    const size_t type_bytes = score_type_bytes(stored);
    if (stored == model->type && stride == width) {
        uploads->all[uploads->count++] = staging_whole(to, view->data, (size_t)(rows * width) * type_bytes);
        return 0;
    }
    if (stored == model->type) {
        uploads->all[uploads->count++] = (struct staging_rows){.to = to,
                                                               .pitch_bytes = (size_t)stride * type_bytes,
                                                               .from = view->data,
                                                               .row_bytes = (size_t)width * type_bytes,
                                                               .row_count = rows};
        return 0;
    }
    int code = staging_copy(model->device, uploads->stream, model->raw, view->data,
                            (size_t)(rows * width) * type_bytes, err);
    if (code)
        return code;
    return CUDA_CHECK(
        model->device,
        score_launch_convert(stored, model->raw, model->type, to, rows, width, stride, uploads->stream), err);
}

static int upload_matrix(struct uploads *uploads, const struct tensor_view *view, void *to, struct err *err)
{
    return upload_rows(uploads, view, to, view->shape.dim[1], err);
}

/* The experts of a layer: gate and up one below the other, and down. */
static int upload_experts(struct uploads *uploads, uint64_t index, struct err *err)
{
    const struct cuda_model *model = uploads->model;
    void *const *matrices = model->layers[index].matrices;
    const uint64_t experts = model->config.expert_count;
    const uint64_t gate_elements = model->config.intermediate_size * model->config.hidden_size;
    int code = 0;
    for (uint64_t i = 0; i < experts && !code && score_layer_has_experts(&model->config, index); i++) {
        const struct tensor_view *views = model->views.experts[index * experts + i];
        unsigned char *up = (unsigned char *)matrices[MODEL_MATRIX_EXPERTS_UP] + i * model->expert_up_bytes;
        unsigned char *down =
            (unsigned char *)matrices[MODEL_MATRIX_EXPERTS_DOWN] + i * model->expert_down_bytes;
        if (!(code = upload_matrix(uploads, &views[SCORE_ROLE_EXPERT_GATE_WEIGHT - SCORE_ROLE_EXPERT_FIRST],
                                   up, err)) &&
            !(code = upload_matrix(uploads, &views[SCORE_ROLE_EXPERT_UP_WEIGHT - SCORE_ROLE_EXPERT_FIRST],
                                   behind(model, up, gate_elements), err)))
            code = upload_matrix(uploads, &views[SCORE_ROLE_EXPERT_DOWN_WEIGHT - SCORE_ROLE_EXPERT_FIRST],
                                 down, err);
    }
    return code;
}

/* How many a layer has. */
static size_t layer_matrices(const struct cuda_model *model)
{
    return LAYER_MATRICES + SCORE_EXPERT_ROLES * (size_t)model->config.expert_count;
}

/* A layer's tensors to their places in its matrices: one below the other (of families with a row for each
 * input side by side), and what adds to the residual stream side by side (one below the other). */
static int upload_layer(struct uploads *uploads, uint64_t index, struct err *err)
{
    const struct cuda_model *model = uploads->model;
    const struct tensor_view *views = model->views.layers[index];
    void *const *matrices = model->layers[index].matrices;
    const uint64_t d = model->config.hidden_size, q = model->query_width, kv = model->key_value_width;
    /* Rows of outputs, or of inputs: as wide as there are inputs, or outputs. */
    const int is_turned = model->architecture->is_transposed;
    const uint64_t qkv = is_turned ? model_qkv_width(model) : d, up = is_turned ? model->up_width : d;
    const uint64_t out = model_out_stride(model), size = model->layers[index].mlp_size;
    const int is_beside = model->config.expert_count > 0;
    const struct {
        enum score_role role;
        enum model_matrix matrix;
        uint64_t elements; /* before its first one */
        uint64_t stride;
    } parts[] = {
        {SCORE_ROLE_QKV_WEIGHT, MODEL_MATRIX_QKV, 0, qkv},
        {SCORE_ROLE_QUERY_WEIGHT, MODEL_MATRIX_QKV, 0, d},
        {SCORE_ROLE_KEY_WEIGHT, MODEL_MATRIX_QKV, q * d, d},
        {SCORE_ROLE_VALUE_WEIGHT, MODEL_MATRIX_QKV, (q + kv) * d, d},
        {SCORE_ROLE_MLP_GATE_WEIGHT, MODEL_MATRIX_MLP_UP, 0, up},
        {SCORE_ROLE_ROUTER_WEIGHT, MODEL_MATRIX_ROUTER, 0, d},
        {SCORE_ROLE_MLP_UP_WEIGHT, MODEL_MATRIX_MLP_UP,
         (is_beside ? size : gate_rows(model)) * (is_turned ? 1 : d), up},
        {SCORE_ROLE_ATTENTION_OUT_WEIGHT, MODEL_MATRIX_OUT, 0, out},
        {SCORE_ROLE_MLP_DOWN_WEIGHT, is_beside ? MODEL_MATRIX_BESIDE_DOWN : MODEL_MATRIX_OUT,
         is_beside ? 0 : model_out_place(model, q), is_beside ? size : out},
    };
    int code = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && !code; i++)
        if (views[parts[i].role].data)
            code = upload_rows(uploads, &views[parts[i].role],
                               behind(model, matrices[parts[i].matrix], parts[i].elements), parts[i].stride,
                               err);
    return code ? code : upload_experts(uploads, index, err);
}

/* -- All -------------------------------------------------------------------------------------------- */

/* Each row of the unembedding by its length, in place and once, as the family's class does it in the type of
 * the weights: the RMS norm of a row, whose weights undo the mean. The least length is in its epsilon, which
 * adds to the square instead of bounding it: the same but for rows about as short as that. */
static int normalize_unembedding(const struct uploads *uploads, struct err *err)
{
    const struct cuda_model *model = uploads->model;
    const uint64_t d = model->config.hidden_size;
    const struct score_rms rms = {.weight = model->unit_weight,
                                  .rows = (uint32_t)model->config.vocabulary_rows,
                                  .width = (uint32_t)d,
                                  .epsilon =
                                      (float)(SCORE_UNIT_LENGTH_MIN * SCORE_UNIT_LENGTH_MIN / (double)d)};
    if (!model->unit_weight)
        return 0;
    return CUDA_CHECK(model->device,
                      score_launch_rms_in_place(model->type, &rms, 1, model->unembedding, d, uploads->stream),
                      err);
}

/* The matrices that stay, in one list, and behind them the vectors: these are converted while the last pieces
 * of the list are on their way. */
static int upload_list(struct uploads *uploads, unsigned char *image, struct err *err)
{
    const struct cuda_model *model = uploads->model;
    const struct tensor_view *views = model->views.model;
    int code;
    if ((code = upload_matrix(uploads, &views[SCORE_ROLE_EMBEDDING], model->embedding, err)) ||
        (!model->config.is_tied &&
         (code = upload_matrix(uploads, &views[SCORE_ROLE_UNEMBEDDING], model->unembedding, err))))
        return code;
    if (model->positions &&
        (code = upload_matrix(uploads, &views[SCORE_ROLE_POSITIONS], model->positions, err)))
        return code;
    if (model->head && (code = upload_matrix(uploads, &views[SCORE_ROLE_HEAD_WEIGHT], model->head, err)))
        return code;
    for (uint64_t i = 0; model->is_resident && i < model->config.layer_count; i++) {
        if (score_watch_look(&model->watch))
            return err_set(err, ERR_CANCELLED, "loading was cancelled");
        if ((code = upload_layer(uploads, i, err)))
            return code;
    }
    if ((code = staging_copy_all(model->device, uploads->stream, uploads->all, uploads->count, &model->watch,
                                 err)))
        return code;
    fill_vectors(model, image);
    return staging_copy(model->device, uploads->stream, model->vectors, image, model->vectors_bytes, err);
}

int upload_all(struct cuda_model *model, struct err *err)
{
    struct uploads uploads = {.model = model, .stream = model->device->stream};
    unsigned char *image = calloc(1, model->vectors_bytes);
    uploads.all = calloc(4 + layer_matrices(model) * (size_t)model->config.layer_count, sizeof(*uploads.all));
    int code = image && uploads.all ? upload_list(&uploads, image, err)
                                    : err_set(err, ERR_NO_MEMORY, "no memory to load a model");
    if (!code)
        code = normalize_unembedding(&uploads, err);
    free(image);
    free(uploads.all);
    return code ? code : device_wait(model->device, err);
}

int upload_matrices(struct cuda_model *model, cudaStream_t stream, uint64_t layer, struct err *err)
{
    struct uploads uploads = {.model = model, .stream = stream};
    uploads.all = calloc(layer_matrices(model), sizeof(*uploads.all));
    int code = uploads.all ? upload_layer(&uploads, layer, err)
                           : err_set(err, ERR_NO_MEMORY, "no memory to load a layer");
    if (!code)
        code = staging_copy_all(model->device, stream, uploads.all, uploads.count, &model->watch, err);
    free(uploads.all);
    return code;
}
