#include "gpu/cuda/score_model.h"

#include "gpu/cuda/score_model_memory.h"
#include "gpu/cuda/score_run.h"
#include "gpu/cuda/score_upload.h"

#include <stdlib.h>

#define HEAD_SIZE_MAX 2048U   /* what the attention kernels take */
#define CHOICES_MAX INT32_MAX /* of the inputs of a batch, of their experts */

enum score_type model_type_of(enum tensor_dtype dtype)
{
    return dtype == TENSOR_DTYPE_F16    ? SCORE_TYPE_F16
           : dtype == TENSOR_DTYPE_BF16 ? SCORE_TYPE_BF16
                                        : SCORE_TYPE_F32;
}

uint64_t model_qkv_width(const struct cuda_model *model)
{
    return model->query_width + 2 * model->key_value_width;
}

uint64_t model_out_inputs(const struct cuda_model *model)
{
    return model->query_width + (model->config.expert_count ? 0 : model->config.intermediate_size);
}

uint64_t model_out_place(const struct cuda_model *model, uint64_t first)
{
    return model->architecture->is_transposed ? first * model->config.hidden_size : first;
}

uint64_t model_out_stride(const struct cuda_model *model)
{
    return model->architecture->is_transposed ? model->config.hidden_size : model_out_inputs(model);
}

uint64_t model_view_elements(const struct tensor_view *view)
{
    return view->data ? view->shape.dim[0] * (view->shape.ndim == 2 ? view->shape.dim[1] : 1) : 0;
}

/* -- Streaming -------------------------------------------------------------------------------------- */

int model_layer_load(struct cuda_model *model, uint64_t layer, struct err *err)
{
    struct cuda_device *device = model->device;
    unsigned slot = (unsigned)(layer % 2);
    if (model->is_resident || model->slot_layers[slot] == layer)
        return 0;
    model->slot_layers[slot] = model->config.layer_count;
    int code = CUDA_CHECK(device, cudaStreamWaitEvent(device->copy_stream, model->slot_used[slot], 0), err);
    if (code || (code = upload_matrices(model, device->copy_stream, layer, err)) ||
        (code = CUDA_CHECK(device, cudaEventRecord(model->slot_loaded[slot], device->copy_stream), err)))
        return code;
    model->slot_layers[slot] = layer;
    return 0;
}

int model_layer_begin(struct cuda_model *model, uint64_t layer, struct err *err)
{
    struct cuda_device *device = model->device;
    if (model->is_resident)
        return 0;
    return CUDA_CHECK(device, cudaStreamWaitEvent(device->stream, model->slot_loaded[layer % 2], 0), err);
}

int model_layer_end(struct cuda_model *model, uint64_t layer, struct err *err)
{
    struct cuda_device *device = model->device;
    if (model->is_resident)
        return 0;
    return CUDA_CHECK(device, cudaEventRecord(model->slot_used[layer % 2], device->stream), err);
}

/* -- Loading ---------------------------------------------------------------------------------------- */

int cuda_score_check(const struct score_config *config, struct err *err)
{
    const struct score_architecture *architecture;
    int code = score_config_check(config, err);
    if (code || (code = score_architecture_find(config->architecture, &architecture, err)))
        return code;
    _Static_assert(LIMIT_SCORE_EXPERTS <= SCORE_ROUTES_EXPERTS, "a kernel keeps them in shared memory");
    const uint64_t inputs =
        config->max_positions > SCORE_BATCH_INPUTS_MAX ? config->max_positions : SCORE_BATCH_INPUTS_MAX;
    if (config->expert_count && inputs > CHOICES_MAX / config->experts_per_input)
        return err_set(err, ERR_UNSUPPORTED, "%llu tokens of %llu experts each: beyond %u, on the CPU only",
                       (unsigned long long)inputs, (unsigned long long)config->experts_per_input,
                       (unsigned)CHOICES_MAX);
    if (score_head_size(config) > HEAD_SIZE_MAX)
        return err_set(err, ERR_UNSUPPORTED, "heads of %llu dimensions: beyond %u, on the CPU only",
                       (unsigned long long)score_head_size(config), (unsigned)HEAD_SIZE_MAX);
    return 0;
}

/* What follows from the configuration. */
static int find_sizes(struct cuda_model *model, struct err *err)
{
    const struct score_config *config = &model->config;
    const uint32_t size = (uint32_t)score_head_size(config);
    int code = score_architecture_find(config->architecture, &model->architecture, err);
    if (code)
        return code;
    const int is_apart = model->architecture->qkv_order != SCORE_QKV_ORDER_PER_HEAD;
    model->query_width = score_query_width(config);
    model->key_value_width = score_key_value_width(config);
    model->up_width = config->intermediate_size * (model->architecture->has_gate ? 2 : 1);
    model->group = (uint32_t)(config->head_count / score_key_value_heads(config));
    const uint32_t q = (uint32_t)model->query_width, kv = (uint32_t)model->key_value_width;
    model->heads = (struct score_heads){.head_count = (uint32_t)config->head_count,
                                        .head_size = size,
                                        .head_stride = is_apart ? size : 3 * size,
                                        .key_shift = is_apart ? q : size,
                                        .value_shift = is_apart ? q + kv : 2 * size,
                                        .row_stride = q + 2 * kv};
    return 0;
}

static int prepare(struct cuda_model *model, const struct score_model_source *source, struct err *err)
{
    const struct score_config *config = &model->config;
    const struct tensor_view *views = model->views.layers[0];
    int code = find_sizes(model, err);
    if (code)
        return code;
    /* Half: the type of the weights; float32 weights become float16, whose fraction is the longer one. */
    const enum score_role first = model->architecture->qkv_order == SCORE_QKV_ORDER_APART
                                      ? SCORE_ROLE_QUERY_WEIGHT
                                      : SCORE_ROLE_QKV_WEIGHT;
    const enum tensor_dtype stored = views[first].dtype;
    model->type = source->precision == SCORE_PRECISION_F32 ? SCORE_TYPE_F32
                  : stored == TENSOR_DTYPE_BF16            ? SCORE_TYPE_BF16
                                                           : SCORE_TYPE_F16;
    if (config->expert_count) {
        const uint64_t row_bytes = config->hidden_size * score_type_bytes(model->type);
        model->expert_up_bytes = device_rounded((size_t)(model->up_width * row_bytes));
        model->expert_down_bytes = device_rounded((size_t)(config->intermediate_size * row_bytes));
    }
    model->raw_bytes = model_largest_raw(model);
    for (int i = 0; i < 2 && !code; i++) {
        model->slot_layers[i] = config->layer_count;
        code = CUDA_CHECK(model->device,
                          cudaEventCreateWithFlags(&model->slot_loaded[i], cudaEventDisableTiming), err);
        if (!code)
            code = CUDA_CHECK(model->device,
                              cudaEventCreateWithFlags(&model->slot_used[i], cudaEventDisableTiming), err);
    }
    return code;
}

int cuda_score_load(struct cuda_device *device, const struct score_model_source *source,
                    struct cuda_model **ret_model, struct err *err)
{
    int code = cuda_score_check(&source->config, err);
    if (code || (code = device_enter(device, err)))
        return code;
    struct cuda_model *model = calloc(1, sizeof(*model));
    if (!model)
        return err_set(err, ERR_NO_MEMORY, "no memory for a model");
    model->device = device;
    model->config = source->config;
    model->watch = source->watch;
    model->budget_bytes = source->memory_budget_bytes;
    if ((code = score_weights_find(source, &model->views, err)) || (code = prepare(model, source, err)))
        goto out;
    model->layers = calloc((size_t)model->config.layer_count, sizeof(*model->layers));
    if (!model->layers) {
        code = err_set(err, ERR_NO_MEMORY, "no memory for a table of layers");
        goto out;
    }
    for (uint64_t i = 0; model->config.activation == SCORE_ACTIVATION_XIELU && i < model->config.layer_count;
         i++)
        model->layers[i].xielu = score_xielu_of(model->views.layers[i]);
    if ((code = gemm_init(&model->gemm, device, model->type, err)) ||
        (code = model_take_memory(model, source->beside, err)) || (code = upload_all(model, err)))
        goto out;
    *ret_model = model;
    model = NULL;
out:
    cuda_score_free(model);
    return code;
}

void cuda_score_free(struct cuda_model *model)
{
    struct err ignored = ERR_INIT;
    if (!model)
        return;
    if (!device_enter(model->device, &ignored)) {
        (void)cudaStreamSynchronize(model->device->copy_stream);
        (void)cudaStreamSynchronize(model->device->stream);
        for (int i = 0; i < 2; i++) {
            if (model->slot_loaded[i])
                (void)cudaEventDestroy(model->slot_loaded[i]);
            if (model->slot_used[i])
                (void)cudaEventDestroy(model->slot_used[i]);
        }
    }
    device_drop(model->device, model->memory, model->memory_bytes);
    device_drop(model->device, model->raw, model->raw_bytes);
    device_trim(model->device);
    gemm_done(&model->gemm);
    score_weights_free(&model->views);
    free(model->layers);
    free(model);
}
