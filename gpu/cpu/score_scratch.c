#include "gpu/cpu/score_scratch.h"

#include <stdlib.h>

#define TAKEN_MAX 16 /* pieces of memory, each rounded up to 64 bytes */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t narrow_floats(const struct cpu_score_model *model)
{
    return larger(model->config.hidden_size, model->query_width);
}

static uint64_t wide_floats(const struct cpu_score_model *model)
{
    return larger(
        larger(model->query_width + 2 * model->key_value_width, larger(model->up_width, model->mlp_up_width)),
        model->config.expert_count);
}

uint64_t score_scratch_bytes(const struct cpu_score_model *model, size_t batch_inputs, size_t document_inputs)
{
    uint64_t d = model->config.hidden_size;
    uint64_t floats = (uint64_t)batch_inputs * (d + 2 * narrow_floats(model) + wide_floats(model)) +
                      attention_scratch_floats(document_inputs) +
                      (uint64_t)SCORE_HEAD_ROWS * SCORE_HEAD_COLUMNS;
    uint64_t bytes = floats * sizeof(float) + (uint64_t)batch_inputs * 5 * sizeof(uint32_t) +
                     score_routing_bytes(&model->config, batch_inputs);
    return bytes + gemm_workspace_bytes(model->engine) +
           gemm_matrix_bytes(model->engine, TENSOR_DTYPE_F32, SCORE_HEAD_COLUMNS, d);
}

static void *take(unsigned char **memory, uint64_t bytes)
{
    void *taken = *memory;
    *memory += (bytes + 63) / 64 * 64;
    return taken;
}

int score_scratch_init(struct score_scratch *scratch, const struct cpu_score_model *model,
                       const struct score_plan *plan, struct err *err)
{
    struct score_scratch made = {.memory = NULL};
    uint64_t inputs = plan->batch_inputs_max, d = model->config.hidden_size;
    uint64_t bytes =
        score_scratch_bytes(model, plan->batch_inputs_max, plan->document_inputs_max) + TAKEN_MAX * 64;
    unsigned char *memory = made.memory = aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
    if (!made.memory)
        return err_set(err, ERR_NO_MEMORY, "no memory for %.1f MiB to score with",
                       (double)bytes / (double)MIB);
    made.hidden = take(&memory, inputs * d * sizeof(float));
    made.normed = take(&memory, inputs * narrow_floats(model) * sizeof(float));
    made.attended = take(&memory, inputs * narrow_floats(model) * sizeof(float));
    made.wide = take(&memory, inputs * wide_floats(model) * sizeof(float));
    made.attention = take(&memory, attention_scratch_floats(plan->document_inputs_max) * sizeof(float));
    made.logits = take(&memory, (uint64_t)SCORE_HEAD_ROWS * SCORE_HEAD_COLUMNS * sizeof(float));
    made.vocabulary =
        take(&memory, gemm_matrix_bytes(model->engine, TENSOR_DTYPE_F32, SCORE_HEAD_COLUMNS, d));
    made.workspace = take(&memory, gemm_workspace_bytes(model->engine));
    score_routing_place(&made.routing, &model->config, (size_t)inputs,
                        take(&memory, score_routing_bytes(&model->config, (size_t)inputs)));
    made.packed.ids = take(&memory, inputs * sizeof(uint32_t));
    made.packed.positions = take(&memory, inputs * sizeof(uint32_t));
    made.packed.offsets = take(&memory, (plan->batch_documents_max + 1) * sizeof(uint32_t));
    made.packed.target_rows = take(&memory, plan->batch_targets_max * sizeof(uint32_t));
    made.packed.target_ids = take(&memory, plan->batch_targets_max * sizeof(uint32_t));
    *scratch = made;
    return 0;
}

void score_scratch_done(struct score_scratch *scratch)
{
    if (!scratch)
        return;
    free(scratch->memory);
    *scratch = (struct score_scratch){.memory = NULL};
}
