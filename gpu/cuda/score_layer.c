#include "gpu/cuda/score_experts.h"
#include "gpu/cuda/score_step.h"

static int normalize(const struct step *step, const float *hidden, uint64_t rows,
                     const struct score_norm *first, const struct score_norm *second, struct err *err)
{
    struct cuda_model *model = step->run->model;
    if (model->architecture->norm == SCORE_NORM_RMS) {
        const struct score_rms rms = step_rms(step, first->weight, rows, model->config.hidden_size);
        int code =
            CUDA_CHECK(model->device,
                       score_launch_rms(model->type, &rms, hidden, first->out, model->device->stream), err);
        return code || !second ? code : normalize(step, hidden, rows, second, NULL, err);
    }
    return CUDA_CHECK(
        model->device,
        score_launch_norm(model->type, hidden, (uint32_t)rows, (uint32_t)model->config.hidden_size,
                          (float)model->config.norm_epsilon, first, second, model->device->stream),
        err);
}

/* What attention and MLP see of the rows at work: by way of a norm, or as it is where that comes after, or
 * has no weight. */
static int enter(const struct step *step, const struct score_norm *first, const struct score_norm *second,
                 struct err *err)
{
    struct cuda_model *model = step->run->model;
    const uint64_t d = model->config.hidden_size;
    if (!step->is_after && first->weight)
        return normalize(step, step->hidden, step->rows, first, second, err);
    return CUDA_CHECK(model->device,
                      score_launch_convert(SCORE_TYPE_F32, step->hidden, model->type, first->out, step->rows,
                                           d, d, model->device->stream),
                      err);
}

static int embed(const struct step *step, struct err *err)
{
    const struct run *run = step->run;
    struct cuda_model *model = run->model;
    cudaStream_t stream = model->device->stream;
    const uint32_t rows = (uint32_t)step->batch->input_count, d = (uint32_t)model->config.hidden_size;
    const size_t first = step->place->input_first;
    int code = CUDA_CHECK(
        model->device,
        score_launch_embed(model->type, model->embedding, run->ids + first, rows, d, step->hidden, stream),
        err);
    if (!code && model->config.multipliers.embedding > 0)
        code = CUDA_CHECK(model->device,
                          score_launch_scale(step->hidden, (uint64_t)rows * d,
                                             score_factor(model->config.multipliers.embedding), stream),
                          err);
    if (!code && model->positions)
        code = CUDA_CHECK(model->device,
                          score_launch_embed_add(model->type, model->positions, run->positions + first, rows,
                                                 d, step->hidden, stream),
                          err);
    if (code || !model->embedding_norm_weight)
        return code;
    const struct score_norm norm = {model->embedding_norm_weight, model->embedding_norm_bias, step->hidden};
    return CUDA_CHECK(model->device,
                      score_launch_norm(SCORE_TYPE_F32, step->hidden, rows, d,
                                        (float)model->config.norm_epsilon, &norm, NULL, stream),
                      err);
}

/* The last layer goes on with the rows that predict a target alone. The queries, keys and values have been
 * used: their memory takes the rows. */
static int pick(struct step *step, struct err *err)
{
    struct run *run = step->run;
    struct cuda_model *model = run->model;
    cudaStream_t stream = model->device->stream;
    const size_t d = (size_t)model->config.hidden_size, type_bytes = score_type_bytes(model->type);
    const uint32_t *rows = run->target_rows + step->place->target_first;
    const uint32_t count = (uint32_t)step->batch->target_count;
    int code;
    if ((code = CUDA_CHECK(
             model->device,
             score_launch_gather(step->hidden, rows, count, d * sizeof(float), run->picked_hidden, stream),
             err)) ||
        (code = CUDA_CHECK(model->device,
                           score_launch_gather(run->attended, rows, count,
                                               (size_t)model->query_width * type_bytes, run->picked_attended,
                                               stream),
                           err)))
        return code;
    if (model->config.has_parallel_residual &&
        (code = CUDA_CHECK(
             model->device,
             score_launch_gather(run->normed_mlp, rows, count, d * type_bytes, run->normed, stream), err)))
        return code;
    step->hidden = run->picked_hidden;
    step->attended = run->picked_attended;
    step->normed_mlp = run->normed;
    step->rows = count;
    return 0;
}

/* A part of MODEL_MATRIX_OUT: from `first_input` on. */
struct out_part {
    const void *x;
    uint64_t x_stride;
    uint64_t first_input, inputs;
    const float *bias, *norm_weight;
};

/* hidden += factor (x W^T + bias), by way of a norm where it comes after; the bias has the factor in it. */
static int add_product(const struct step *step, const struct out_part *part, struct err *err)
{
    struct cuda_model *model = step->run->model;
    const size_t type_bytes = score_type_bytes(model->type);
    const unsigned char *weights = step->layer->matrices[MODEL_MATRIX_OUT];
    const struct gemm_product product = {.weights =
                                             weights + model_out_place(model, part->first_input) * type_bytes,
                                         .weights_stride = model_out_stride(model),
                                         .x = part->x,
                                         .x_stride = part->x_stride,
                                         .out = step->is_after ? step->run->product : step->hidden,
                                         .bias = part->bias,
                                         .outputs = model->config.hidden_size,
                                         .inputs = part->inputs,
                                         .rows = step->rows,
                                         .epilogue = GEMM_EPILOGUE_BIAS,
                                         .is_wide = step->is_after,
                                         .is_sum = !step->is_after,
                                         .is_transposed = model->architecture->is_transposed,
                                         .factor = score_factor(model->config.multipliers.residual)};
    const struct score_rms rms = step_rms(step, part->norm_weight, step->rows, model->config.hidden_size);
    int code = gemm_run(&model->gemm, &product, err);
    if (code || !step->is_after)
        return code;
    return CUDA_CHECK(model->device,
                      score_launch_rms_add(&rms, step->run->product, step->hidden, model->device->stream),
                      err);
}

static int add_attended(const struct step *step, struct err *err)
{
    const struct out_part part = {.x = step->attended,
                                  .x_stride = step->attended_stride,
                                  .inputs = step->run->model->query_width,
                                  .bias = step->layer->attention_out_bias,
                                  .norm_weight = step->layer->attention_norm_weight};
    return add_product(step, &part, err);
}

/* What went up, and where there is a gate its answer, in place. */
static int activate(const struct step *step, struct err *err)
{
    struct cuda_model *model = step->run->model;
    const int activation = (int)model->config.activation;
    const uint32_t rows = (uint32_t)step->rows, width = (uint32_t)model->config.intermediate_size;
    cudaStream_t stream = model->device->stream;
    cudaError_t status =
        model->architecture->has_gate
            ? score_launch_gate(model->type, activation, step->wide, rows, width, step->wide_stride, stream)
        : activation == SCORE_ACTIVATION_XIELU
            ? score_launch_xielu(model->type, &step->layer->xielu, step->wide, rows, width, step->wide_stride,
                                 stream)
            : score_launch_activate(model->type, activation, step->wide, rows, width, step->wide_stride,
                                    stream);
    return CUDA_CHECK(model->device, status, err);
}

/* The rows through the MLP to the residual stream, and where it is joined the attention's result with them.
 */
static int transform(const struct step *step, struct err *err)
{
    struct run *run = step->run;
    struct cuda_model *model = run->model;
    const enum score_activation activation = model->config.activation;
    if (model->config.expert_count)
        return experts_run_layer(run, step->layer, step->normed_mlp, step->rows, step->hidden, err);
    const uint64_t wide = model->config.intermediate_size;
    const int has_gate = model->architecture->has_gate;
    /* The exact GELU, SiLU, squares and xIELU have no epilogue, and none has a gate: a kernel of ours applies
     * them in place. */
    const enum gemm_epilogue epilogue = has_gate ? GEMM_EPILOGUE_BIAS
                                        : activation == SCORE_ACTIVATION_GELU_TANH
                                            ? GEMM_EPILOGUE_BIAS_GELU_TANH
                                        : activation == SCORE_ACTIVATION_RELU ? GEMM_EPILOGUE_BIAS_RELU
                                                                              : GEMM_EPILOGUE_BIAS;
    const struct gemm_product up = {.weights = step->layer->matrices[MODEL_MATRIX_MLP_UP],
                                    .x = step->normed_mlp,
                                    .out = step->wide,
                                    .out_stride = step->wide_stride,
                                    .bias = step->layer->mlp_up_bias,
                                    .outputs = model->up_width,
                                    .inputs = model->config.hidden_size,
                                    .rows = step->rows,
                                    .epilogue = epilogue,
                                    .is_transposed = model->architecture->is_transposed};
    int code = gemm_run(&model->gemm, &up, err);
    if (code || (epilogue == GEMM_EPILOGUE_BIAS && (code = activate(step, err))))
        return code;
    const struct out_part joined = {.x = step->attended,
                                    .x_stride = step->attended_stride,
                                    .inputs = model_out_inputs(model),
                                    .bias = step->layer->out_bias};
    const struct out_part alone = {.x = step->wide,
                                   .x_stride = step->wide_stride,
                                   .first_input = model->query_width,
                                   .inputs = wide,
                                   .bias = step->layer->mlp_down_bias,
                                   .norm_weight = step->layer->mlp_norm_weight};
    return add_product(step, step->is_joined ? &joined : &alone, err);
}

/* From the residual stream of the targets, which is used up, to what meets the unembedding: the final norm,
 * and norm(activation(head x + bias)) where the family has that. */
static int leave(const struct step *step, void *states, struct err *err)
{
    struct cuda_model *model = step->run->model;
    const uint64_t d = model->config.hidden_size;
    const uint32_t rows = (uint32_t)step->rows;
    cudaStream_t stream = model->device->stream;
    const struct score_norm final = {model->final_norm_weight, model->final_norm_bias, states};
    const struct score_norm norm = {model->head_norm_weight, model->head_norm_bias, states};
    const struct gemm_product head = {.weights = model->head,
                                      .x = states,
                                      .out = step->hidden,
                                      .bias = model->head_bias,
                                      .outputs = d,
                                      .inputs = d,
                                      .rows = rows,
                                      .epilogue = GEMM_EPILOGUE_BIAS,
                                      .is_wide = 1};
    int code = normalize(step, step->hidden, rows, &final, NULL, err);
    if (code || !model->head || (code = gemm_run(&model->gemm, &head, err)) ||
        (code = CUDA_CHECK(model->device,
                           score_launch_activate(SCORE_TYPE_F32, (int)model->config.head_activation,
                                                 step->hidden, rows, (uint32_t)d, d, stream),
                           err)))
        return code;
    return normalize(step, step->hidden, rows, &norm, NULL, err);
}

int run_layer(struct run *run, size_t batch_number, uint64_t index, struct err *err)
{
    struct cuda_model *model = run->model;
    const struct cuda_layer *layer = &model->layers[index];
    const struct score_place *place = &run->batches[batch_number];
    const size_t d = (size_t)model->config.hidden_size;
    const int is_parallel = model->config.has_parallel_residual,
              is_last = index + 1 == model->config.layer_count;
    const uint64_t stride = model_out_inputs(model), q = model->query_width;
    /* In the last layer there are fewer rows after attention, which stores 16 bytes at once. */
    const int is_joined =
        is_parallel && !model->architecture->has_gate && !is_last && stride % SCORE_ATTENTION_VECTOR == 0;
    struct step step = {.run = run,
                        .layer = layer,
                        .is_rotated = score_layer_is_rotated(&model->config, index),
                        .is_scaled = score_layer_is_scaled(&model->config, index),
                        .scale = score_attention_scale(&model->config, index),
                        .window = (uint32_t)score_layer_window(&model->config, index),
                        .is_after = model->architecture->norm_place == SCORE_NORM_AFTER,
                        .batch = &run->plan.batches[batch_number],
                        .place = place,
                        .hidden = run->hidden + (model->is_resident ? 0 : place->input_first * d),
                        .attended = is_joined ? run->joined : run->attended,
                        .attended_stride = is_joined ? stride : q,
                        .wide = is_joined ? (unsigned char *)run->joined + q * score_type_bytes(model->type)
                                          : run->wide,
                        .wide_stride = is_joined ? stride : model->up_width,
                        .is_joined = is_joined,
                        .normed_mlp = run->normed_mlp};
    const int is_bare = index == 0 && model->architecture->has_bare_first_layer;
    const struct score_norm norm_attention = {is_bare ? NULL : layer->attention_norm_weight,
                                              layer->attention_norm_bias, run->normed};
    const struct score_norm norm_mlp = {layer->mlp_norm_weight, layer->mlp_norm_bias, run->normed_mlp};
    int code = 0;
    step.rows = step.batch->input_count;
    /* With the parallel residual, the second norm sees what the first one sees. */
    if ((index == 0 && (code = embed(&step, err))) ||
        (code = enter(&step, &norm_attention, is_parallel ? &norm_mlp : NULL, err)) ||
        (code = step_attend(&step, err)) || (is_last && (code = pick(&step, err))) ||
        (!is_joined && (code = add_attended(&step, err))))
        return code;
    if (!is_parallel) {
        const struct score_norm norm = {layer->mlp_norm_weight, layer->mlp_norm_bias, step.normed_mlp};
        if ((code = enter(&step, &norm, NULL, err)))
            return code;
    }
    if ((code = transform(&step, err)) || !is_last)
        return code;
    return leave(&step,
                 (unsigned char *)run->states + place->target_first * d * score_type_bytes(model->type), err);
}

int run_head(struct run *run, struct err *err)
{
    struct cuda_model *model = run->model;
    cudaStream_t stream = model->device->stream;
    const size_t row_bytes = (size_t)model->config.hidden_size * score_type_bytes(model->type);
    const float *bias = model->unembedding_bias;
    const size_t vocabulary = (size_t)model->config.vocabulary_rows, targets = run->wave->target_count;
    int code;
    for (size_t row = 0; row < targets; row += SCORE_HEAD_ROWS) {
        uint32_t rows = (uint32_t)(targets - row < SCORE_HEAD_ROWS ? targets - row : SCORE_HEAD_ROWS);
        if ((code = CUDA_CHECK(model->device, score_launch_head_start(run->head_states, rows, stream), err)))
            return code;
        for (size_t first = 0; first < vocabulary; first += SCORE_HEAD_COLUMNS) {
            size_t left = vocabulary - first, columns = left < SCORE_HEAD_COLUMNS ? left : SCORE_HEAD_COLUMNS;
            const struct gemm_product logits = {.weights = (const unsigned char *)model->unembedding +
                                                           first * row_bytes,
                                                .x = (const unsigned char *)run->states + row * row_bytes,
                                                .out = run->logits,
                                                .bias = bias ? bias + first : NULL,
                                                .epilogue = bias ? GEMM_EPILOGUE_BIAS : GEMM_EPILOGUE_NONE,
                                                .outputs = columns,
                                                .inputs = model->config.hidden_size,
                                                .rows = rows,
                                                .is_wide = 1};
            if ((code = gemm_run(&model->gemm, &logits, err)) ||
                (code =
                     CUDA_CHECK(model->device,
                                score_launch_head_add(run->logits, rows, (uint32_t)columns, (uint32_t)first,
                                                      run->target_ids + row, run->head_states, stream),
                                err)))
                return code;
        }
        if ((code = CUDA_CHECK(model->device,
                               score_launch_head_finish(run->head_states, run->target_ids + row, rows,
                                                        run->logprobs + row, run->is_argmax + row, stream),
                               err)))
            return code;
    }
    return 0;
}
