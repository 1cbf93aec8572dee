#include "gpu/cuda/score_step.h"

/* The heads of all rows from `x` on: queries or keys. */
static int normalize_heads(const struct step *step, const float *weight, void *x, uint64_t width,
                           struct err *err)
{
    struct cuda_model *model = step->run->model;
    const uint64_t size = score_head_size(&model->config);
    const int is_each = model->architecture->head_norm == SCORE_HEAD_NORM_EACH;
    const struct score_rms rms = step_rms(step, weight, step->batch->input_count, is_each ? size : width);
    return CUDA_CHECK(model->device,
                      score_launch_rms_in_place(model->type, &rms, is_each ? (uint32_t)(width / size) : 1, x,
                                                model_qkv_width(model), model->device->stream),
                      err);
}

/* Queries, keys and values to the limit, if there is one. */
static int cut_heads(const struct step *step, struct err *err)
{
    struct run *run = step->run;
    struct cuda_model *model = run->model;
    if (!(model->config.qkv_limit > 0))
        return 0;
    return CUDA_CHECK(model->device,
                      score_launch_cut(model->type, run->qkv,
                                       step->batch->input_count * model_qkv_width(model),
                                       (float)model->config.qkv_limit, model->device->stream),
                      err);
}

/* Queries, keys and values from their product on: cut to the limit, before their norm or after it, queries
 * and keys normalised and rotated, where the family and the layer do that. */
static int finish_heads(const struct step *step, struct err *err)
{
    struct run *run = step->run;
    struct cuda_model *model = run->model;
    cudaStream_t stream = model->device->stream;
    const struct cuda_layer *layer = step->layer;
    void *first_key = (unsigned char *)run->qkv + model->query_width * score_type_bytes(model->type);
    const int table = step->is_scaled ? 0 : 1;
    const int is_late = model->architecture->is_cut_after_norm;
    int code;
    if (!is_late && (code = cut_heads(step, err)))
        return code;
    if (model->architecture->head_norm != SCORE_HEAD_NORM_NONE &&
        ((code = normalize_heads(step, layer->query_norm_weight, run->qkv, model->query_width, err)) ||
         (code = normalize_heads(step, layer->key_norm_weight, first_key, model->key_value_width, err))))
        return code;
    if (is_late && (code = cut_heads(step, err)))
        return code;
    if (!step->is_rotated)
        return 0;
    const struct score_rotation how = {.heads = model->heads,
                                       .group = model->group,
                                       .half = (uint32_t)model->config.rotary_dimensions / 2,
                                       .rows = (uint32_t)step->batch->input_count,
                                       .positions = run->positions + step->place->input_first,
                                       .cosine = run->cosine[table],
                                       .sine = run->sine[table]};
    return CUDA_CHECK(model->device,
                      model->architecture->has_neighbour_pairs
                          ? score_launch_rotate_neighbours(model->type, &how, run->qkv, stream)
                          : score_launch_rotate(model->type, &how, run->qkv, stream),
                      err);
}

int step_attend(const struct step *step, struct err *err)
{
    struct run *run = step->run;
    struct cuda_model *model = run->model;
    const struct gemm_product qkv = {.weights = step->layer->matrices[MODEL_MATRIX_QKV],
                                     .x = run->normed,
                                     .out = run->qkv,
                                     .bias = step->layer->qkv_bias,
                                     .outputs = model_qkv_width(model),
                                     .inputs = model->config.hidden_size,
                                     .rows = step->batch->input_count,
                                     .epilogue = GEMM_EPILOGUE_BIAS,
                                     .is_transposed = model->architecture->is_transposed};
    const struct score_attention attention = {.heads = model->heads,
                                              .group = model->group,
                                              .tiles = run->tiles + step->place->tile_first,
                                              .tile_count = step->place->tile_count,
                                              .scale = step->scale,
                                              .slopes = model->slopes,
                                              .window = step->window};
    int code = gemm_run(&model->gemm, &qkv, err);
    if (code || (code = finish_heads(step, err)))
        return code;
    return CUDA_CHECK(model->device,
                      score_launch_attention(model->type, run->qkv, &attention, step->attended,
                                             step->attended_stride, model->device->stream),
                      err);
}
