#include "gpu/cuda/score_model_memory.h"

#include "gpu/cuda/score_run.h"
#include "gpu/cuda/share.h"

#define ROOM_BYTES_MIN ((uint64_t)512 << 20) /* that a resident model leaves for scoring */

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
    layer->router_bias = model->config.router == SCORE_ROUTER_SIGMOID
                             ? carve(base, used, model->config.expert_count * sizeof(float))
                             : NULL;
    layer->qkv_bias = carve(base, used, model_qkv_width(model) * type_bytes);
    layer->mlp_up_bias = carve(base, used, model->up_width * type_bytes);
}

/* `index` says which it has. */
static void carve_matrices(const struct cuda_model *model, unsigned char *base, size_t *used, uint64_t index,
                           struct cuda_layer *layer)
{
    const uint64_t d = model->config.hidden_size, type_bytes = score_type_bytes(model->type);
    const uint64_t experts = model->config.expert_count;
    layer->matrices[MODEL_MATRIX_QKV] = carve(base, used, model_qkv_width(model) * d * type_bytes);
    layer->mlp_size = score_mlp_size(&model->config, index);
    if (experts && layer->mlp_size) {
        layer->matrices[MODEL_MATRIX_MLP_UP] = carve(base, used, 2 * layer->mlp_size * d * type_bytes);
        layer->matrices[MODEL_MATRIX_BESIDE_DOWN] = carve(base, used, layer->mlp_size * d * type_bytes);
    }
    if (score_layer_has_experts(&model->config, index)) {
        layer->matrices[MODEL_MATRIX_ROUTER] = carve(base, used, experts * d * type_bytes);
        layer->matrices[MODEL_MATRIX_EXPERTS_UP] = carve(base, used, experts * model->expert_up_bytes);
        layer->matrices[MODEL_MATRIX_EXPERTS_DOWN] = carve(base, used, experts * model->expert_down_bytes);
    } else if (!experts) {
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

/* Of the matrices of the largest layer: the first one's, or the last one's. */
static size_t slot_bytes(const struct cuda_model *model)
{
    size_t first = 0, last = 0;
    struct cuda_layer layer = {.matrices = {NULL}};
    carve_matrices(model, NULL, &first, 0, &layer);
    carve_matrices(model, NULL, &last, model->config.layer_count - 1, &layer);
    return first > last ? first : last;
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
        /* even layers in the first slot, odd ones in the second */
        size_t at = model->is_resident ? used : slots_begin + i % 2 * slot_bytes(model);
        carve_matrices(model, base, &at, i, &model->layers[i]);
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

size_t model_largest_raw(const struct cuda_model *model)
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

static int take_alone(struct cuda_model *model, struct err *err)
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

int model_take_memory(struct cuda_model *model, const struct score_need *beside, struct err *err)
{
    return beside ? take_beside(model, beside, err) : take_alone(model, err);
}

void cuda_score_need(const struct cuda_model *model, struct score_need *ret_need)
{
    *ret_need =
        (struct score_need){.memory_bytes = model->memory_bytes + model->raw_bytes + DEVICE_WORKSPACE_BYTES,
                            .scratch_bytes = model->is_resident ? run_bytes_max(model) : UINT64_MAX};
}
