#include "gpu/cuda/score.h"

#include "gpu/cuda/score_run.h"

#include <string.h>

static int is_cancelled(const struct run *run)
{
    return score_watch_look(&run->model->watch);
}

/* Resident: each batch through all layers. */
static int run_resident(struct run *run, struct err *err)
{
    int code = 0;
    for (size_t i = 0; i < run->wave->batch_count; i++)
        for (uint64_t layer = 0; layer < run->model->config.layer_count; layer++) {
            if (is_cancelled(run))
                return err_set(err, ERR_CANCELLED, "scoring was cancelled");
            if ((code = run_layer(run, run->wave->batch_first + i, layer, err)))
                return code;
        }
    return code;
}

/* Streamed: all batches through each layer; while they do, or the last of them where the host waits for the
 * rows of experts, the next layer arrives. */
static int run_streamed(struct run *run, struct err *err)
{
    struct cuda_model *model = run->model;
    const uint64_t count = model->config.layer_count;
    int code = 0;
    for (uint64_t layer = 0; layer < count; layer++) {
        if ((code = model_layer_load(model, layer, err)) || (code = model_layer_begin(model, layer, err)))
            return code;
        for (size_t i = 0; i < run->wave->batch_count; i++) {
            if (is_cancelled(run))
                return err_set(err, ERR_CANCELLED, "scoring was cancelled");
            if ((code = run_layer(run, run->wave->batch_first + i, layer, err)))
                return code;
        }
        if ((code = model_layer_end(model, layer, err)))
            return code;
        if (layer + 1 < count && (code = model_layer_load(model, layer + 1, err)))
            return code;
    }
    return 0;
}

static int run_wave(struct run *run, struct err *err)
{
    struct cuda_device *device = run->model->device;
    const struct score_plan_wave *wave = run->wave;
    int code;
    if ((code = run_pack_wave(run, err)) ||
        (code = run->model->is_resident ? run_resident(run, err) : run_streamed(run, err)) ||
        (code = run_head(run, err)) ||
        (code = CUDA_CHECK(device,
                           cudaMemcpyAsync(run->result->logprobs + wave->target_first, run->logprobs,
                                           wave->target_count * sizeof(double), cudaMemcpyDeviceToHost,
                                           device->stream),
                           err)) ||
        (code = CUDA_CHECK(device,
                           cudaMemcpyAsync(run->result->is_argmax + wave->target_first, run->is_argmax,
                                           wave->target_count, cudaMemcpyDeviceToHost, device->stream),
                           err)))
        return code;
    return device_wait(device, err);
}

int cuda_score_run(struct cuda_model *model, const struct score_request *request, struct score_result *result,
                   struct err *err)
{
    struct run run = {.model = NULL};
    size_t target_total = 0;
    int code;
    if ((code = device_enter(model->device, err)) ||
        (code = score_request_check(&model->config, request, &target_total, err)))
        return code;
    if (target_total != result->target_total)
        return err_set(err, ERR_INVALID, "the result has room for %zu targets, the request has %zu",
                       result->target_total, target_total);
    if ((code = run_init(&run, model, request, result, err)))
        goto out;
    for (size_t i = 0; i < run.plan.wave_count; i++) {
        run.wave = &run.plan.waves[i];
        if ((code = run_wave(&run, err)))
            goto out;
    }
    result->input_count = run.plan.input_total;
    result->flops = score_flops(&model->config, request);
    result->memory_bytes =
        model->memory_bytes + model->raw_bytes + run.scratch_bytes + DEVICE_WORKSPACE_BYTES;
    memcpy(result->slow, model->gemm.slow, sizeof result->slow);
out:
    run_done(&run);
    return code;
}
