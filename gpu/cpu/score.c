#include "gpu/cpu/score.h"

#include "daemon/base/checked.h"
#include "gpu/cpu/score_head.h"

#include <stdatomic.h>
#include <stdlib.h>

/* A request while it is scored. */
struct run {
    struct cpu_score_model *model;
    const struct score_plan *plan;
    const struct score_plan_wave *wave;
    struct score_result *result;
    struct score_rotary rotary, unscaled; /* the second for layers that are not scaled, if there are any */
    struct score_scratch *scratches;      /* [thread_count] */
    int scratch_count;
    float *hidden;     /* streamed: [wave_inputs_max, d], the residual streams between layers */
    float *states;     /* [wave_targets_max, d], after the final norm */
    uint32_t *targets; /* [wave_targets_max] */
    float *rotary_memory;
    uint64_t layer;       /* streamed: the one at work */
    size_t *batch_inputs; /* streamed: [batch_count] first row of a batch in `hidden` */
    atomic_size_t next;   /* batch or block of rows that is taken next */
    uint64_t memory_bytes;
};

static int is_cancelled(const struct run *run)
{
    return score_watch_look(&run->model->watch);
}

static const struct score_rotary *rotary_of(const struct run *run, uint64_t layer)
{
    return score_layer_is_scaled(&run->model->config, layer) ? &run->rotary : &run->unscaled;
}

/* Where the hidden states of a batch's targets go. */
static float *states_of(const struct run *run, const struct score_plan_batch *batch)
{
    return run->states + (batch->target_first - run->wave->target_first) * run->model->config.hidden_size;
}

/* Packs the next batch of the wave and notes its targets; 0 if there is none, or nobody wants it any more. */
static int take_batch(struct run *run, struct score_packed *packed, size_t *ret_number)
{
    size_t next = atomic_fetch_add(&run->next, 1);
    if (next >= run->wave->batch_count || is_cancelled(run))
        return 0;
    *ret_number = run->wave->batch_first + next;
    const struct score_plan_batch *batch = &run->plan->batches[*ret_number];
    score_plan_pack(run->plan, *ret_number, packed);
    for (size_t i = 0; i < batch->target_count; i++)
        run->targets[batch->target_first - run->wave->target_first + i] = packed->target_ids[i];
    return 1;
}

/* Takes batches of the wave through all layers. */
static void run_batches(void *context, int index)
{
    struct run *run = context;
    struct cpu_score_model *model = run->model;
    struct score_scratch *scratch = &run->scratches[index];
    size_t number;
    while (take_batch(run, &scratch->packed, &number)) {
        const struct score_plan_batch *batch = &run->plan->batches[number];
        score_layer_embed(model, scratch, batch->input_count, scratch->hidden);
        for (uint64_t layer = 0; layer < model->config.layer_count && !is_cancelled(run); layer++)
            score_layer_run(model, rotary_of(run, layer), layer, batch, scratch, scratch->hidden,
                            states_of(run, batch));
    }
}

/* Takes batches of the wave through one layer; before the first one they are embedded. */
static void run_batches_layer(void *context, int index)
{
    struct run *run = context;
    struct cpu_score_model *model = run->model;
    struct score_scratch *scratch = &run->scratches[index];
    size_t number;
    while (take_batch(run, &scratch->packed, &number)) {
        const struct score_plan_batch *batch = &run->plan->batches[number];
        float *hidden = run->hidden + run->batch_inputs[number] * model->config.hidden_size;
        if (run->layer == 0)
            score_layer_embed(model, scratch, batch->input_count, hidden);
        score_layer_run(model, rotary_of(run, run->layer), run->layer, batch, scratch, hidden,
                        states_of(run, batch));
    }
}

static void run_heads(void *context, int index)
{
    struct run *run = context;
    const struct score_plan_wave *wave = run->wave;
    for (;;) {
        size_t begin = atomic_fetch_add(&run->next, 1) * SCORE_HEAD_ROWS;
        if (begin >= wave->target_count || is_cancelled(run))
            return;
        size_t left = wave->target_count - begin, rows = left < SCORE_HEAD_ROWS ? left : SCORE_HEAD_ROWS;
        score_head_run(run->model, &run->scratches[index],
                       run->states + begin * run->model->config.hidden_size, run->targets + begin, rows,
                       run->result->logprobs + wave->target_first + begin,
                       run->result->is_argmax + wave->target_first + begin);
    }
}

static void run_phase(struct run *run, void (*phase)(void *context, int index))
{
    atomic_store(&run->next, 0);
    cpu_threads_run(run->model->threads, phase, run);
}

static int run_wave(struct run *run, struct err *err)
{
    if (run->model->is_resident) {
        run_phase(run, run_batches);
    } else {
        for (uint64_t layer = 0; layer < run->model->config.layer_count && !is_cancelled(run); layer++) {
            score_model_prepare_layer(run->model, layer);
            run->layer = layer;
            run_phase(run, run_batches_layer);
        }
    }
    run_phase(run, run_heads);
    if (is_cancelled(run))
        return err_set(err, ERR_CANCELLED, "scoring was cancelled");
    return 0;
}

/* -- Memory --------------------------------------------------------------------------------------- */

static void run_free(struct run *run)
{
    for (int i = 0; run->scratches && i < run->scratch_count; i++)
        score_scratch_done(&run->scratches[i]);
    free(run->scratches);
    free(run->hidden);
    free(run->states);
    free(run->targets);
    free(run->rotary_memory);
    free(run->batch_inputs);
}

/* Of one rotary embedding, or two. */
static uint64_t rotary_floats(const struct run *run)
{
    const struct score_config *config = &run->model->config;
    return (uint64_t)run->plan->document_inputs_max * config->rotary_dimensions *
           (score_has_unscaled_layer(config) ? 2 : 1);
}

/* Bytes beside the model's own. */
static uint64_t run_bytes(const struct run *run)
{
    const struct cpu_score_model *model = run->model;
    const struct score_config *config = &model->config;
    const struct score_plan *plan = run->plan;
    uint64_t d = config->hidden_size;
    uint64_t bytes = (uint64_t)run->scratch_count *
                     score_scratch_bytes(model, plan->batch_inputs_max, plan->document_inputs_max);
    bytes += plan->wave_targets_max * (d * sizeof(float) + sizeof(uint32_t));
    bytes += rotary_floats(run) * sizeof(float);
    if (!model->is_resident)
        bytes += plan->wave_inputs_max * d * sizeof(float) + plan->batch_count * sizeof(size_t);
    return bytes;
}

static void fill_rotary(const struct run *run, float *memory, int is_scaled, struct score_rotary *ret_rotary)
{
    static const struct score_rotary_scaling none = {.kind = SCORE_ROTARY_DEFAULT};
    const struct score_config *config = &run->model->config;
    const size_t half = (size_t)run->model->config.rotary_dimensions / 2;
    const size_t positions = run->plan->document_inputs_max;
    *ret_rotary = (struct score_rotary){.half = half, .cosine = memory, .sine = memory + positions * half};
    score_rotary_fill(ret_rotary, positions, score_rotary_base(config, is_scaled),
                      is_scaled ? &config->rotary_scaling : &none);
}

static int run_init(struct run *run, struct err *err)
{
    const struct cpu_score_model *model = run->model;
    const struct score_plan *plan = run->plan;
    size_t d = (size_t)model->config.hidden_size;
    int code = 0;
    run->scratches = calloc((size_t)run->scratch_count, sizeof(*run->scratches));
    run->states = malloc((plan->wave_targets_max + 1) * d * sizeof(float));
    run->targets = malloc((plan->wave_targets_max + 1) * sizeof(*run->targets));
    run->rotary_memory = malloc(((size_t)rotary_floats(run) + 1) * sizeof(float));
    if (!model->is_resident) {
        run->hidden = malloc((plan->wave_inputs_max + 1) * d * sizeof(float));
        run->batch_inputs = malloc((plan->batch_count + 1) * sizeof(*run->batch_inputs));
    }
    if (!run->scratches || !run->states || !run->targets || !run->rotary_memory ||
        (!model->is_resident && (!run->hidden || !run->batch_inputs)))
        return err_set(err, ERR_NO_MEMORY, "no memory for %.1f MiB to score with",
                       (double)run_bytes(run) / (double)MIB);
    for (int i = 0; i < run->scratch_count && !code; i++)
        code = score_scratch_init(&run->scratches[i], model, plan, err);
    if (code)
        return code;
    fill_rotary(run, run->rotary_memory, 1, &run->rotary);
    if (score_has_unscaled_layer(&model->config))
        fill_rotary(run, run->rotary_memory + rotary_floats(run) / 2, 0, &run->unscaled);
    for (size_t i = 0; run->batch_inputs && i < plan->wave_count; i++) {
        size_t row = 0;
        for (size_t j = 0; j < plan->waves[i].batch_count; j++) {
            size_t number = plan->waves[i].batch_first + j;
            run->batch_inputs[number] = row;
            row += plan->batches[number].input_count;
        }
    }
    return 0;
}

/* Plans the request within the memory budget: where it is tight, with smaller waves, then a document per
 * batch. */
static int plan_run(struct run *run, struct score_plan *plan, const struct score_request *request,
                    struct err *err)
{
    const struct cpu_score_model *model = run->model;
    uint64_t budget = model->budget_bytes ? model->budget_bytes : UINT64_MAX;
    uint64_t row_bytes = model->config.hidden_size * sizeof(float), wave_bytes = SCORE_WAVE_BYTES;
    struct score_plan_options options = {.inputs_max = SCORE_BATCH_INPUTS};
    for (;;) {
        options.wave_targets_max = (size_t)(wave_bytes / row_bytes) + 1;
        options.wave_inputs_max = model->is_resident ? SIZE_MAX : (size_t)(4 * wave_bytes / row_bytes) + 1;
        int code = score_plan_init(plan, request, &options, err);
        if (code)
            return code;
        run->plan = plan;
        run->memory_bytes = model->memory_bytes + run_bytes(run);
        if (run->memory_bytes <= budget)
            return 0;
        if (wave_bytes < row_bytes * SCORE_BATCH_INPUTS && options.inputs_max == 1)
            return err_set(err, ERR_NO_MEMORY,
                           "scoring needs %.1f MiB with %d threads, more than the budget of %.1f MiB; raise "
                           "device-memory-mb, or lower threads",
                           (double)run->memory_bytes / (double)MIB, run->scratch_count,
                           (double)budget / (double)MIB);
        if (wave_bytes < row_bytes * SCORE_BATCH_INPUTS)
            options.inputs_max = 1;
        wave_bytes /= 2;
        score_plan_free(plan);
    }
}

int cpu_score_run(struct cpu_score_model *model, const struct score_request *request,
                  struct score_result *result, struct err *err)
{
    struct score_plan plan = {.batches = NULL};
    struct run run = {.model = model, .result = result};
    size_t target_total = 0;
    int code = score_request_check(&model->config, request, &target_total, err);
    if (code)
        return code;
    if (target_total != result->target_total)
        return err_set(err, ERR_INVALID, "the result has room for %zu targets, the request has %zu",
                       result->target_total, target_total);
    run.scratch_count = cpu_threads_count(model->threads);
    if ((code = plan_run(&run, &plan, request, err)) || (code = run_init(&run, err)))
        goto out;
    for (size_t i = 0; i < plan.wave_count; i++) {
        run.wave = &plan.waves[i];
        if ((code = run_wave(&run, err)))
            goto out;
    }
    result->input_count = plan.input_total;
    result->flops = score_flops(&model->config, request);
    result->memory_bytes = run.memory_bytes;
out:
    run_free(&run);
    score_plan_free(&plan);
    return code;
}

int cpu_score_load(struct cpu_threads *threads, enum cpu_isa isa, const struct score_model_source *source,
                   struct cpu_score_model **ret_model, struct err *err)
{
    if (source->precision == SCORE_PRECISION_HALF)
        return err_set(err, ERR_UNSUPPORTED, "the CPU computes in float32 only");
    struct cpu_score_model *model = calloc(1, sizeof(*model));
    if (!model)
        return err_set(err, ERR_NO_MEMORY, "no memory for a model");
    int code = score_model_init(model, threads, score_kernels_of(isa), gemm_start(isa), source, err);
    if (code) {
        free(model);
        return code;
    }
    *ret_model = model;
    return 0;
}

void cpu_score_free(struct cpu_score_model *model)
{
    if (!model)
        return;
    score_model_done(model);
    free(model);
}
