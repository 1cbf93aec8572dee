#include "gpu/score_plan.h"

#include <stdlib.h>

size_t score_plan_document_inputs(const struct score_request *request, size_t document)
{
    return (size_t)request->target_first[document] + request->target_count[document] - 1;
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Runs through the documents; writes batches if there is room for them, and returns their number. */
static size_t cut_batches(const struct score_request *request, size_t inputs_max,
                          struct score_plan_batch *batches)
{
    size_t count = 0, target = 0;
    struct score_plan_batch batch = {.document_count = 0};
    for (size_t i = 0; i < request->document_count; i++) {
        size_t inputs = score_plan_document_inputs(request, i);
        if (batch.document_count && batch.input_count + inputs > inputs_max) {
            if (batches)
                batches[count] = batch;
            count++;
            batch = (struct score_plan_batch){.document_first = i, .target_first = target};
        }
        batch.document_count++;
        batch.input_count += inputs;
        batch.target_count += request->target_count[i];
        target += request->target_count[i];
    }
    if (batch.document_count) {
        if (batches)
            batches[count] = batch;
        count++;
    }
    return count;
}

static size_t cut_waves(const struct score_plan *plan, const struct score_plan_options *options,
                        struct score_plan_wave *waves)
{
    size_t count = 0;
    struct score_plan_wave wave = {.batch_count = 0};
    for (size_t i = 0; i < plan->batch_count; i++) {
        const struct score_plan_batch *batch = &plan->batches[i];
        if (wave.batch_count && (wave.target_count + batch->target_count > options->wave_targets_max ||
                                 wave.input_count + batch->input_count > options->wave_inputs_max)) {
            if (waves)
                waves[count] = wave;
            count++;
            wave = (struct score_plan_wave){.batch_first = i, .target_first = batch->target_first};
        }
        wave.batch_count++;
        wave.input_count += batch->input_count;
        wave.target_count += batch->target_count;
    }
    if (wave.batch_count) {
        if (waves)
            waves[count] = wave;
        count++;
    }
    return count;
}

static void measure_plan(struct score_plan *plan)
{
    for (size_t i = 0; i < plan->request->document_count; i++)
        plan->document_inputs_max =
            max_size(plan->document_inputs_max, score_plan_document_inputs(plan->request, i));
    for (size_t i = 0; i < plan->batch_count; i++) {
        const struct score_plan_batch *batch = &plan->batches[i];
        plan->input_total += batch->input_count;
        plan->target_total += batch->target_count;
        plan->batch_inputs_max = max_size(plan->batch_inputs_max, batch->input_count);
        plan->batch_documents_max = max_size(plan->batch_documents_max, batch->document_count);
        plan->batch_targets_max = max_size(plan->batch_targets_max, batch->target_count);
    }
    for (size_t i = 0; i < plan->wave_count; i++) {
        plan->wave_inputs_max = max_size(plan->wave_inputs_max, plan->waves[i].input_count);
        plan->wave_targets_max = max_size(plan->wave_targets_max, plan->waves[i].target_count);
    }
}

int score_plan_init(struct score_plan *plan, const struct score_request *request,
                    const struct score_plan_options *options, struct err *err)
{
    struct score_plan made = {.request = request};
    if (!options->inputs_max || !options->wave_targets_max || !options->wave_inputs_max)
        return err_set(err, ERR_INVALID, "batches and waves need room for at least one input");
    made.batch_count = cut_batches(request, options->inputs_max, NULL);
    made.batches = calloc(made.batch_count + 1, sizeof(*made.batches));
    if (!made.batches)
        goto no_memory;
    (void)cut_batches(request, options->inputs_max, made.batches);
    made.wave_count = cut_waves(&made, options, NULL);
    made.waves = calloc(made.wave_count + 1, sizeof(*made.waves));
    if (!made.waves)
        goto no_memory;
    (void)cut_waves(&made, options, made.waves);
    measure_plan(&made);
    *plan = made;
    return 0;
no_memory:
    score_plan_free(&made);
    return err_set(err, ERR_NO_MEMORY, "no memory to plan %zu documents", request->document_count);
}

void score_plan_free(struct score_plan *plan)
{
    if (!plan)
        return;
    free(plan->batches);
    free(plan->waves);
    *plan = (struct score_plan){.batches = NULL};
}

void score_plan_pack(const struct score_plan *plan, size_t index, const struct score_packed *packed)
{
    const struct score_request *request = plan->request;
    const struct score_plan_batch *batch = &plan->batches[index];
    uint32_t row = 0;
    size_t target = 0;
    for (size_t i = 0; i < batch->document_count; i++) {
        size_t document = batch->document_first + i;
        const uint32_t *tokens = request->tokens + request->begin[document];
        uint32_t inputs = (uint32_t)score_plan_document_inputs(request, document);
        uint32_t first = request->target_first[document];
        packed->offsets[i] = row;
        for (uint32_t j = 0; j < inputs; j++) {
            packed->ids[row + j] = tokens[j];
            packed->positions[row + j] = j;
        }
        for (uint32_t j = 0; j < request->target_count[document]; j++, target++) {
            packed->target_rows[target] = row + first - 1 + j;
            packed->target_ids[target] = tokens[first + j];
        }
        row += inputs;
    }
    packed->offsets[batch->document_count] = row;
}
