#include "gpu/cuda/score_model.h"

#include "gpu/cuda/score_run.h"
#include "gpu/cuda/score_upload.h"
#include "gpu/cuda/share.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_SIZE_MAX 2048U                  /* what the attention kernels take */
#define CHOICES_MAX INT32_MAX                /* of the inputs of a batch, of their experts */
#define ROOM_BYTES_MIN ((uint64_t)512 << 20) /* that a resident model leaves for scoring */

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

/* -- Memory ----------------------------------------------------------------------------------------- */

static void *carve(unsigned char *base, size_t *used, uint64_t bytes)
{
    void *taken = base ? base + *used : NULL;
    *used += device_rounded((size_t)bytes);
    return taken;
}

/* Sizes are within score_config_check's limits: no product of them, times the layers, reaches 2^62. */
static void carve_layer(struct cuda_model *model, unsigned char *base, size_t *used, struct cuda_layer *layer)
{
    const uint64_t d = model->config.hidden_size;
    const struct tensor_view *views = model->views.layers[0]; /* as those of all layers are */
    const uint64_t type_bytes = score_type_bytes(model->type);
    float **vectors[] = {&layer->attention_norm_weight,
                         &layer->attention_norm_bias,
                         &layer->mlp_norm_weight,
                         &layer->mlp_norm_bias,
                         &layer->attention_out_bias,
                         &layer->mlp_down_bias,
                         &layer->out_bias};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        *vectors[i] = carve(base, used, d * sizeof(float));
    layer->query_norm_weight =
        carve(base, used, model_view_elements(&views[SCORE_ROLE_QUERY_NORM_WEIGHT]) * sizeof(float));
    layer->key_norm_weight =
        carve(base, used, model_view_elements(&views[SCORE_ROLE_KEY_NORM_WEIGHT]) * sizeof(float));
    layer->qkv_bias = carve(base, used, model_qkv_width(model) * type_bytes);
    layer->mlp_up_bias = carve(base, used, model->up_width * type_bytes);
}

static void carve_matrices(const struct cuda_model *model, unsigned char *base, size_t *used,
                           struct cuda_layer *layer)
{
    const uint64_t d = model->config.hidden_size, type_bytes = score_type_bytes(model->type);
    const uint64_t experts = model->config.expert_count;
    layer->matrices[MODEL_MATRIX_QKV] = carve(base, used, model_qkv_width(model) * d * type_bytes);
    if (experts) {
        layer->matrices[MODEL_MATRIX_ROUTER] = carve(base, used, experts * d * type_bytes);
        layer->matrices[MODEL_MATRIX_EXPERTS_UP] = carve(base, used, experts * model->expert_up_bytes);
        layer->matrices[MODEL_MATRIX_EXPERTS_DOWN] = carve(base, used, experts * model->expert_down_bytes);
    } else {
        layer->matrices[MODEL_MATRIX_MLP_UP] = carve(base, used, model->up_width * d * type_bytes);
    }
    layer->matrices[MODEL_MATRIX_OUT] = carve(base, used, d * model_out_inputs(model) * type_bytes);
}

/* What families have besides. */
static void carve_extras(struct cuda_model *model, unsigned char *base, size_t *used)
{
    const uint64_t d = model->config.hidden_size;
    const struct tensor_view *views = model->views.model;
    const int has_norm = views[SCORE_ROLE_EMBEDDING_NORM_WEIGHT].data != NULL;
    model->embedding_norm_weight = has_norm ? carve(base, used, d * sizeof(float)) : NULL;
    model->embedding_norm_bias = has_norm ? carve(base, used, d * sizeof(float)) : NULL;
    const int has_head = views[SCORE_ROLE_HEAD_WEIGHT].data != NULL;
    model->head_bias = has_head ? carve(base, used, d * sizeof(float)) : NULL;
    model->head_norm_weight = has_head ? carve(base, used, d * sizeof(float)) : NULL;
    model->head_norm_bias = has_head ? carve(base, used, d * sizeof(float)) : NULL;
    model->unembedding_bias = model->config.has_unembedding_bias
                                  ? carve(base, used, model->config.vocabulary_rows * sizeof(float))
                                  : NULL;
    model->unit_weight = model->architecture->has_unit_rows ? carve(base, used, d * sizeof(float)) : NULL;
    model->slopes =
        model->architecture->has_alibi ? carve(base, used, model->config.head_count * sizeof(float)) : NULL;
}

/* Places everything in one piece of memory from `base` on (NULL: only counts) and returns its size. */
static size_t lay_out(struct cuda_model *model, unsigned char *base)
{
    const uint64_t d = model->config.hidden_size, vocabulary = model->config.vocabulary_rows;
    const uint64_t table_bytes = vocabulary * d * score_type_bytes(model->type);
    size_t used = 0, slots_begin;
    model->embedding = carve(base, &used, table_bytes);
    model->unembedding = model->config.is_tied ? model->embedding : carve(base, &used, table_bytes);
    const uint64_t positions_bytes =
        model_view_elements(&model->views.model[SCORE_ROLE_POSITIONS]) * score_type_bytes(model->type);
    model->positions = positions_bytes ? carve(base, &used, positions_bytes) : NULL;
    const uint64_t head_bytes =
        model_view_elements(&model->views.model[SCORE_ROLE_HEAD_WEIGHT]) * score_type_bytes(model->type);
    model->head = head_bytes ? carve(base, &used, head_bytes) : NULL;
    model->vectors = base ? base + used : NULL;
    model->vectors_bytes = used;
    model->final_norm_weight = carve(base, &used, d * sizeof(float));
    model->final_norm_bias = carve(base, &used, d * sizeof(float));
    carve_extras(model, base, &used);
    for (uint64_t i = 0; i < model->config.layer_count; i++)
        carve_layer(model, base, &used, &model->layers[i]);
    model->vectors_bytes = used - model->vectors_bytes;
    slots_begin = used;
    for (uint64_t i = 0; i < model->config.layer_count; i++) {
        size_t at = used;
        if (!model->is_resident) { /* even layers in the first slot, odd ones in the second */
            at = slots_begin;
            if (i % 2)
                carve_matrices(model, NULL, &at, &(struct cuda_layer){.matrices = {NULL}});
        }
        carve_matrices(model, base, &at, &model->layers[i]);
        used = at > used ? at : used;
    }
    return used;
}

/* Bytes of the largest of some matrices that is stored in another type than it is kept in, or `largest`. */
static size_t largest_raw_of(const struct cuda_model *model, const struct tensor_view *views, int count,
                             size_t largest)
{
    for (int i = 0; i < count; i++) {
        const size_t bytes =
            (size_t)model_view_elements(&views[i]) * score_type_bytes(model_type_of(views[i].dtype));
        const int is_converted = views[i].shape.ndim == 2 && model_type_of(views[i].dtype) != model->type;
        if (views[i].data && is_converted && bytes > largest)
            largest = bytes;
    }
    return largest;
}

static size_t largest_raw(const struct cuda_model *model)
{
    const uint64_t layers = model->config.layer_count, experts = model->config.expert_count;
    size_t largest = largest_raw_of(model, model->views.model, SCORE_ROLE_LAYER_FIRST, 0);
    for (uint64_t i = 0; i < layers; i++)
        largest = largest_raw_of(model, model->views.layers[i], SCORE_ROLE_COUNT, largest);
    for (uint64_t i = 0; i < layers * experts; i++)
        largest = largest_raw_of(model, model->views.experts[i], SCORE_EXPERT_ROLES, largest);
    return largest;
}

int model_room_bytes(const struct cuda_model *model, uint64_t *ret_bytes, struct err *err)
{
    uint64_t room = 0, own = DEVICE_WORKSPACE_BYTES;
    int code = device_room(model->device, &room, err);
    if (code)
        return code;
    own += (model->memory ? model->memory_bytes : 0) + (model->raw ? model->raw_bytes : 0);
    if (model->budget_bytes) {
        uint64_t left = model->budget_bytes > own ? model->budget_bytes - own : 0;
        room = left < room ? left : room;
    }
    *ret_bytes = room;
    return 0;
}

/* Takes the memory for the model as `is_resident` says. */
static int take_placed(struct cuda_model *model, int is_resident, struct err *err)
{
    model->is_resident = is_resident;
    model->memory_bytes = lay_out(model, NULL);
    int code = device_take(model->device, model->memory_bytes, &model->memory, err);
    if (code)
        return code;
    (void)lay_out(model, model->memory);
    if (model->raw_bytes && (code = device_take(model->device, model->raw_bytes, &model->raw, err))) {
        device_drop(model->device, model->memory, model->memory_bytes);
        model->memory = NULL;
    }
    return code;
}

/* Beside another model: whole, with all the room that both can use, or not at all. */
static int take_beside(struct cuda_model *model, const struct score_need *beside, struct err *err)
{
    uint64_t room = 0;
    int code = device_room(model->device, &room, err);
    if (code)
        return code;
    model->is_resident = 1;
    const uint64_t need = lay_out(model, NULL) + model->raw_bytes + run_bytes_max(model);
    if (beside->scratch_bytes > room || need > room - beside->scratch_bytes)
        return err_set(err, ERR_NO_MEMORY, "the model needs %.1f MiB beside the one that is scored now",
                       (double)need / (double)MIB);
    uint64_t both = need + beside->memory_bytes + beside->scratch_bytes + DEVICE_WORKSPACE_BYTES;
    if (model->budget_bytes && both > model->budget_bytes)
        return err_set(err, ERR_NO_MEMORY, "two models need %.1f MiB, %.1f MiB are granted",
                       (double)both / (double)MIB, (double)model->budget_bytes / (double)MIB);
    return take_placed(model, 1, err);
}

static int take_memory(struct cuda_model *model, struct err *err)
{
    uint64_t room = 0;
    const int can_stream = model->config.layer_count > 2;
    int code = model_room_bytes(model, &room, err);
    if (code)
        return code;
    model->is_resident = 1;
    const uint64_t whole = lay_out(model, NULL) + model->raw_bytes;
    if (whole + ROOM_BYTES_MIN <= room || (!can_stream && whole <= room)) {
        code = take_placed(model, 1, err);
        if (code != ERR_NO_MEMORY || !can_stream)
            return code;
        *err = (struct err)ERR_INIT; /* less was free than the device said */
    }
    model->is_resident = !can_stream;
    const uint64_t least = lay_out(model, NULL) + model->raw_bytes;
    if (least > room)
        return err_set(
            err, ERR_NO_MEMORY,
            "the model needs %.1f MiB on the device (two layers at a time), there is room for %.1f MiB; %s",
            (double)least / (double)MIB, (double)room / (double)MIB, share_remedy(model->device));
    return take_placed(model, !can_stream, err);
}

void cuda_score_need(const struct cuda_model *model, struct score_need *ret_need)
{
    *ret_need =
        (struct score_need){.memory_bytes = model->memory_bytes + model->raw_bytes + DEVICE_WORKSPACE_BYTES,
                            .scratch_bytes = model->is_resident ? run_bytes_max(model) : UINT64_MAX};
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
    model->raw_bytes = largest_raw(model);
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
        (code = source->beside ? take_beside(model, source->beside, err) : take_memory(model, err)) ||
        (code = upload_all(model, err)))
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
