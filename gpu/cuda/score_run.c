#include "gpu/cuda/score_run.h"

#include "gpu/cuda/share.h"
#include "gpu/cuda/staging.h"
#include "gpu/score_rotary.h"

#include <stdlib.h>

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t batch_inputs(const struct cuda_model *model)
{
    const size_t inputs = SCORE_BATCH_ELEMENTS / (size_t)model->config.hidden_size;
    return inputs < SCORE_BATCH_INPUTS_MIN   ? SCORE_BATCH_INPUTS_MIN
           : inputs > SCORE_BATCH_INPUTS_MAX ? SCORE_BATCH_INPUTS_MAX
                                             : inputs;
}

/* -- Memory ----------------------------------------------------------------------------------------- */

static void *carve(unsigned char *base, size_t *used, size_t bytes)
{
    void *taken = base ? base + *used : NULL;
    *used += device_rounded(bytes);
    return taken;
}

/* How many tables of angles. */
static int rotary_count(const struct cuda_model *model)
{
    return score_has_unscaled_layer(&model->config) ? 2 : 1;
}

/* Of the MLP: one for each input, or for each expert that an input goes to. */
static size_t wide_rows(const struct cuda_model *model, size_t inputs)
{
    return inputs * (model->config.expert_count ? (size_t)model->config.experts_per_input : 1);
}

static void lay_out_experts(struct run *run, unsigned char *base, size_t *used)
{
    const struct score_config *config = &run->model->config;
    const size_t inputs = run->plan.batch_inputs_max, choices = wide_rows(run->model, inputs);
    const size_t experts = (size_t)config->expert_count, word = sizeof(uint32_t);
    const size_t parts = (size_t)score_routes_parts(choices);
    struct score_routes *routes = &run->routes;
    run->router_logits = carve(base, used, inputs * experts * sizeof(float));
    run->answers = carve(base, used, choices * (size_t)config->hidden_size * sizeof(float));
    run->grouped = run->answers;
    *routes =
        (struct score_routes){.experts = (uint32_t)experts, .per_input = (uint32_t)config->experts_per_input};
    routes->choices = carve(base, used, choices * word);
    routes->weights = carve(base, used, choices * sizeof(float));
    routes->counts = carve(base, used, parts * experts * word);
    routes->starts = carve(base, used, parts * experts * word);
    routes->begins = carve(base, used, (experts + 1) * word);
    routes->places = carve(base, used, choices * word);
    routes->inputs = carve(base, used, choices * word);
}

/* Places everything from `base` on (NULL: only counts) and returns its size. */
static size_t lay_out(struct run *run, unsigned char *base)
{
    const struct cuda_model *model = run->model;
    const struct score_plan *plan = &run->plan;
    const size_t d = (size_t)model->config.hidden_size, type_bytes = score_type_bytes(model->type);
    const size_t inputs = plan->batch_inputs_max, targets = plan->batch_targets_max;
    const size_t half = (size_t)model->config.rotary_dimensions / 2, q = (size_t)model->query_width;
    const int has_product = model->architecture->norm_place == SCORE_NORM_AFTER;
    size_t used = 0, picked = 0;
    run->hidden =
        carve(base, &used, (model->is_resident ? inputs : plan->wave_inputs_max) * d * sizeof(float));
    run->normed = carve(base, &used, inputs * d * type_bytes);
    run->normed_mlp = carve(base, &used, inputs * d * type_bytes);
    run->product = has_product ? carve(base, &used, inputs * d * sizeof(float)) : NULL;
    run->joined = base ? base + used : NULL;
    run->attended = carve(base, &used, inputs * q * type_bytes);
    run->wide = carve(
        base, &used,
        max_size(wide_rows(model, inputs) * (size_t)model->up_width,
                 model->config.expert_count ? inputs * 2 * (size_t)score_mlp_size_max(&model->config) : 0) *
            type_bytes);
    /* Two uses of the same memory, one after the other. */
    run->qkv = base ? base + used : NULL;
    run->picked_hidden = carve(base ? base + used : NULL, &picked, targets * d * sizeof(float));
    run->picked_attended = carve(base ? base + used : NULL, &picked, targets * q * type_bytes);
    used += max_size(device_rounded(inputs * (size_t)model_qkv_width(model) * type_bytes), picked);
    run->states = carve(base, &used, plan->wave_targets_max * d * type_bytes);
    run->ids = carve(base, &used, plan->wave_inputs_max * sizeof(uint32_t));
    run->positions = carve(base, &used, plan->wave_inputs_max * sizeof(uint32_t));
    run->target_rows = carve(base, &used, plan->wave_targets_max * sizeof(uint32_t));
    run->target_ids = carve(base, &used, plan->wave_targets_max * sizeof(uint32_t));
    run->tiles = carve(base, &used, run->wave_tiles_max * sizeof(struct score_tile));
    for (int i = 0; i < rotary_count(model); i++) {
        run->cosine[i] = carve(base, &used, plan->document_inputs_max * half * sizeof(float));
        run->sine[i] = carve(base, &used, plan->document_inputs_max * half * sizeof(float));
    }
    run->head_states = carve(base, &used, SCORE_HEAD_ROWS * sizeof(struct score_head_state));
    run->logits = carve(base, &used, SCORE_HEAD_ROWS * (size_t)SCORE_HEAD_COLUMNS * sizeof(float));
    run->logprobs = carve(base, &used, plan->wave_targets_max * sizeof(double));
    run->is_argmax = carve(base, &used, plan->wave_targets_max);
    if (model->config.expert_count)
        lay_out_experts(run, base, &used);
    return used;
}

/* Where each batch lies in the arrays of its wave. */
static int place_batches(struct run *run, struct err *err)
{
    const struct score_plan *plan = &run->plan;
    free(run->batches);
    run->batches = calloc(plan->batch_count + 1, sizeof(*run->batches));
    if (!run->batches)
        return err_set(err, ERR_NO_MEMORY, "no memory to place %zu batches", plan->batch_count);
    score_tiles_place(plan, SCORE_ATTENTION_ROWS, run->batches, &run->wave_tiles_max);
    return 0;
}

uint64_t run_bytes_max(const struct cuda_model *model)
{
    const size_t positions = (size_t)model->config.max_positions;
    const size_t inputs = max_size(batch_inputs(model), positions);
    const size_t row_bytes = (size_t)model->config.hidden_size * sizeof(float);
    struct cuda_model copy = *model;
    struct run run = {.model = &copy, .wave_tiles_max = SCORE_WAVE_INPUTS};
    run.plan = (struct score_plan){.batch_inputs_max = inputs,
                                   .batch_targets_max = inputs,
                                   .wave_inputs_max = SCORE_WAVE_INPUTS,
                                   .wave_targets_max = max_size(SCORE_WAVE_BYTES / row_bytes + 1, inputs),
                                   .document_inputs_max = positions};
    return lay_out(&run, NULL);
}

/* Plans within `room`: smaller batches and waves until it fits. */
static int plan_within(struct run *run, const struct score_request *request, uint64_t room, struct err *err)
{
    const struct cuda_model *model = run->model;
    const size_t row_bytes = (size_t)model->config.hidden_size * sizeof(float);
    size_t inputs_max = batch_inputs(model), wave_bytes = SCORE_WAVE_BYTES;
    int code;
    for (;;) {
        struct score_plan_options options = {.inputs_max = inputs_max,
                                             .wave_targets_max = wave_bytes / row_bytes + 1,
                                             .wave_inputs_max = SCORE_WAVE_INPUTS};
        if (!model->is_resident) /* their hidden states stay on the device from layer to layer */
            options.wave_inputs_max = 16 * wave_bytes / row_bytes + 1;
        if ((code = score_plan_init(&run->plan, request, &options, err)) || (code = place_batches(run, err)))
            return code;
        run->scratch_bytes = lay_out(run, NULL);
        if (run->scratch_bytes <= room)
            return 0;
        if (inputs_max == 1)
            return err_set(
                err, ERR_NO_MEMORY,
                "scoring needs %.1f MiB on the device beside the model, there is room for %.1f MiB; %s",
                (double)run->scratch_bytes / (double)MIB, (double)room / (double)MIB,
                share_remedy(model->device));
        inputs_max = inputs_max > 64 ? inputs_max / 2 : 1;
        wave_bytes = max_size(wave_bytes / 2, MIB);
        score_plan_free(&run->plan);
    }
}

/* Plans, and takes the memory. The room is an estimate, and other programs use the device as well: where
 * memory is refused, half of what was asked for is the room. */
static int plan_run(struct run *run, const struct score_request *request, struct err *err)
{
    struct cuda_device *device = run->model->device;
    uint64_t room = 0, refused = 0;
    int code = model_room_bytes(run->model, &room, err);
    while (!code && !(code = plan_within(run, request, room, err)) &&
           (code = device_take(device, run->scratch_bytes, &run->scratch, err)) == ERR_NO_MEMORY) {
        *err = (struct err)ERR_INIT;
        code = 0;
        refused = run->scratch_bytes;
        room = refused / 2;
        score_plan_free(&run->plan);
    }
    if (code == ERR_NO_MEMORY && refused) /* `room` was a guess */
        return err_set(err, ERR_NO_MEMORY,
                       "scoring needs %.1f MiB on the device beside the model, which refused %.1f MiB though "
                       "they seemed free: another program may have taken them; %s",
                       (double)run->scratch_bytes / (double)MIB, (double)refused / (double)MIB,
                       share_remedy(device));
    return code;
}

static int send_rotary(struct run *run, struct err *err)
{
    const struct score_config *config = &run->model->config;
    const size_t half = (size_t)config->rotary_dimensions / 2, positions = run->plan.document_inputs_max;
    const struct score_rotary_scaling none = {.kind = SCORE_ROTARY_DEFAULT};
    struct cuda_device *device = run->model->device;
    int code = 0;
    if (!half || !positions)
        return 0;
    float *cosine = calloc(2 * positions * half, sizeof(float));
    if (!cosine)
        return err_set(err, ERR_NO_MEMORY, "no memory for the angles of %zu positions", positions);
    float *sine = cosine + positions * half;
    const struct score_rotary rotary = {.half = half, .cosine = cosine, .sine = sine};
    const size_t size_bytes = positions * half * sizeof(float);
    for (int i = 0; i < rotary_count(run->model) && !code; i++) {
        score_rotary_fill(&rotary, positions, score_rotary_base(config, !i),
                          i ? &none : &config->rotary_scaling);
        if (!(code = staging_copy(device, device->stream, run->cosine[i], cosine, size_bytes, err)))
            code = staging_copy(device, device->stream, run->sine[i], sine, size_bytes, err);
    }
    free(cosine);
    return code;
}

int run_init(struct run *run, struct cuda_model *model, const struct score_request *request,
             struct score_result *result, struct err *err)
{
    *run = (struct run){.model = model, .result = result};
    int code = plan_run(run, request, err);
    if (code)
        return code;
    (void)lay_out(run, run->scratch);
    const struct score_plan *plan = &run->plan;
    run->host_words = calloc(2 * (plan->wave_inputs_max + plan->wave_targets_max) + 1, sizeof(uint32_t));
    run->host_offsets = calloc(plan->batch_documents_max + 1, sizeof(uint32_t));
    run->host_tiles = calloc(run->wave_tiles_max + 1, sizeof(*run->host_tiles));
    run->host_begins = calloc((size_t)model->config.expert_count + 1, sizeof(uint32_t));
    if (!run->host_words || !run->host_offsets || !run->host_tiles || !run->host_begins)
        return err_set(err, ERR_NO_MEMORY, "no memory to pack %zu inputs", plan->wave_inputs_max);
    return send_rotary(run, err);
}

void run_done(struct run *run)
{
    struct err ignored = ERR_INIT;
    if (!run->model)
        return;
    (void)device_wait(run->model->device, &ignored);
    device_drop(run->model->device, run->scratch, run->scratch_bytes);
    score_plan_free(&run->plan);
    free(run->batches);
    free(run->host_words);
    free(run->host_offsets);
    free(run->host_tiles);
    free(run->host_begins);
    *run = (struct run){.model = NULL};
}

/* -- Packing ---------------------------------------------------------------------------------------- */

int run_pack_wave(struct run *run, struct err *err)
{
    const struct score_plan *plan = &run->plan;
    const struct score_plan_wave *wave = run->wave;
    struct cuda_device *device = run->model->device;
    uint32_t *ids = run->host_words, *positions = ids + plan->wave_inputs_max;
    uint32_t *target_rows = positions + plan->wave_inputs_max,
             *target_ids = target_rows + plan->wave_targets_max;
    const size_t inputs_bytes = wave->input_count * sizeof(uint32_t);
    const size_t targets_bytes = wave->target_count * sizeof(uint32_t);
    size_t tile_count = 0;
    for (size_t i = 0; i < wave->batch_count; i++) {
        size_t number = wave->batch_first + i;
        const struct score_place *place = &run->batches[number];
        const struct score_packed packed = {.ids = ids + place->input_first,
                                            .positions = positions + place->input_first,
                                            .offsets = run->host_offsets,
                                            .target_rows = target_rows + place->target_first,
                                            .target_ids = target_ids + place->target_first};
        score_plan_pack(plan, number, &packed);
        score_tiles_cut(&plan->batches[number], run->host_offsets, SCORE_ATTENTION_ROWS,
                        run->host_tiles + place->tile_first);
        tile_count += place->tile_count;
    }
    int code;
    if ((code = staging_copy(device, device->stream, run->ids, ids, inputs_bytes, err)) ||
        (code = staging_copy(device, device->stream, run->positions, positions, inputs_bytes, err)) ||
        (code = staging_copy(device, device->stream, run->target_rows, target_rows, targets_bytes, err)) ||
        (code = staging_copy(device, device->stream, run->target_ids, target_ids, targets_bytes, err)))
        return code;
    return staging_copy(device, device->stream, run->tiles, run->host_tiles,
                        tile_count * sizeof(*run->host_tiles), err);
}
