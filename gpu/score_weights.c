#include "gpu/score_architecture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sizes that shapes are made of. */
enum dimension {
    DIMENSION_NONE,
    DIMENSION_ONE,
    DIMENSION_VOCABULARY,
    DIMENSION_POSITIONS,
    DIMENSION_HIDDEN,
    DIMENSION_QKV,
    DIMENSION_QUERY,
    DIMENSION_KEY_VALUE,
    DIMENSION_HEAD,
    DIMENSION_MLP,
    DIMENSION_UP_GATE,
    DIMENSION_EXPERT,
    DIMENSION_SHARED,
    DIMENSION_EXPERTS
};

static const struct {
    enum dimension rows, columns; /* columns NONE: a vector; both: a number */
} role_shapes[SCORE_ROLE_COUNT] = {
    [SCORE_ROLE_EMBEDDING] = {DIMENSION_VOCABULARY, DIMENSION_HIDDEN},
    [SCORE_ROLE_POSITIONS] = {DIMENSION_POSITIONS, DIMENSION_HIDDEN},
    [SCORE_ROLE_EMBEDDING_NORM_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_EMBEDDING_NORM_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_UNEMBEDDING] = {DIMENSION_VOCABULARY, DIMENSION_HIDDEN},
    [SCORE_ROLE_UNEMBEDDING_BIAS] = {DIMENSION_VOCABULARY, DIMENSION_NONE},
    [SCORE_ROLE_HEAD_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_HIDDEN},
    [SCORE_ROLE_HEAD_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_HEAD_NORM_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_HEAD_NORM_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_FINAL_NORM_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_FINAL_NORM_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_ATTENTION_NORM_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_QKV_WEIGHT] = {DIMENSION_QKV, DIMENSION_HIDDEN},
    [SCORE_ROLE_QKV_BIAS] = {DIMENSION_QKV, DIMENSION_NONE},
    [SCORE_ROLE_QUERY_WEIGHT] = {DIMENSION_QUERY, DIMENSION_HIDDEN},
    [SCORE_ROLE_QUERY_BIAS] = {DIMENSION_QUERY, DIMENSION_NONE},
    [SCORE_ROLE_KEY_WEIGHT] = {DIMENSION_KEY_VALUE, DIMENSION_HIDDEN},
    [SCORE_ROLE_KEY_BIAS] = {DIMENSION_KEY_VALUE, DIMENSION_NONE},
    [SCORE_ROLE_VALUE_WEIGHT] = {DIMENSION_KEY_VALUE, DIMENSION_HIDDEN},
    [SCORE_ROLE_VALUE_BIAS] = {DIMENSION_KEY_VALUE, DIMENSION_NONE},
    [SCORE_ROLE_QUERY_NORM_WEIGHT] = {DIMENSION_QUERY, DIMENSION_NONE},
    [SCORE_ROLE_KEY_NORM_WEIGHT] = {DIMENSION_KEY_VALUE, DIMENSION_NONE},
    [SCORE_ROLE_ATTENTION_OUT_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_QUERY},
    [SCORE_ROLE_ATTENTION_OUT_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_MLP_NORM_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_MLP_NORM_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_MLP_UP_GATE_WEIGHT] = {DIMENSION_UP_GATE, DIMENSION_HIDDEN},
    [SCORE_ROLE_MLP_UP_GATE_BIAS] = {DIMENSION_UP_GATE, DIMENSION_NONE},
    [SCORE_ROLE_MLP_GATE_WEIGHT] = {DIMENSION_MLP, DIMENSION_HIDDEN},
    [SCORE_ROLE_MLP_GATE_BIAS] = {DIMENSION_MLP, DIMENSION_NONE},
    [SCORE_ROLE_MLP_UP_WEIGHT] = {DIMENSION_MLP, DIMENSION_HIDDEN},
    [SCORE_ROLE_MLP_UP_BIAS] = {DIMENSION_MLP, DIMENSION_NONE},
    [SCORE_ROLE_MLP_DOWN_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_MLP},
    [SCORE_ROLE_MLP_DOWN_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_XIELU_POSITIVE] = {DIMENSION_ONE, DIMENSION_NONE},
    [SCORE_ROLE_XIELU_NEGATIVE] = {DIMENSION_ONE, DIMENSION_NONE},
    [SCORE_ROLE_XIELU_BETA] = {DIMENSION_NONE, DIMENSION_NONE},
    [SCORE_ROLE_XIELU_EPSILON] = {DIMENSION_NONE, DIMENSION_NONE},
    [SCORE_ROLE_ROUTER_WEIGHT] = {DIMENSION_EXPERTS, DIMENSION_HIDDEN},
    [SCORE_ROLE_ROUTER_BIAS] = {DIMENSION_EXPERTS, DIMENSION_NONE},
    [SCORE_ROLE_SHARED_GATE_WEIGHT] = {DIMENSION_SHARED, DIMENSION_HIDDEN},
    [SCORE_ROLE_SHARED_UP_WEIGHT] = {DIMENSION_SHARED, DIMENSION_HIDDEN},
    [SCORE_ROLE_SHARED_DOWN_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_SHARED},
    [SCORE_ROLE_EXPERT_GATE_WEIGHT] = {DIMENSION_EXPERT, DIMENSION_HIDDEN},
    [SCORE_ROLE_EXPERT_UP_WEIGHT] = {DIMENSION_EXPERT, DIMENSION_HIDDEN},
    [SCORE_ROLE_EXPERT_DOWN_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_EXPERT},
};

static uint64_t dimension_size(const struct score_config *config, enum dimension dimension)
{
    switch (dimension) {
    case DIMENSION_VOCABULARY:
        return config->vocabulary_rows;
    case DIMENSION_POSITIONS:
        return config->position_rows;
    case DIMENSION_HIDDEN:
        return config->hidden_size;
    case DIMENSION_QKV:
        return score_query_width(config) + 2 * score_key_value_width(config);
    case DIMENSION_QUERY:
        return score_query_width(config);
    case DIMENSION_KEY_VALUE:
        return score_key_value_width(config);
    case DIMENSION_HEAD:
        return score_head_size(config);
    case DIMENSION_MLP:
        return config->expert_count ? config->dense_size : config->intermediate_size;
    case DIMENSION_EXPERT:
        return config->intermediate_size;
    case DIMENSION_SHARED:
        return config->shared_size;
    case DIMENSION_UP_GATE:
        return 2 * config->intermediate_size;
    case DIMENSION_EXPERTS:
        return config->expert_count;
    case DIMENSION_ONE:
    case DIMENSION_NONE:
        break;
    }
    return 1;
}

void score_tensor_shape(const struct score_config *config, enum score_role role,
                        struct tensor_shape *ret_shape)
{
    static const struct score_architecture unknown = {.name = ""};
    const struct score_architecture *architecture = &unknown;
    struct err err = ERR_INIT;
    (void)score_architecture_find(config->architecture, &architecture, &err);
    const int is_turned = role >= SCORE_ROLE_LAYER_FIRST && architecture->is_transposed;
    const int is_of_head = architecture->head_norm == SCORE_HEAD_NORM_EACH &&
                           (role == SCORE_ROLE_QUERY_NORM_WEIGHT || role == SCORE_ROLE_KEY_NORM_WEIGHT);
    struct tensor_shape shape = {.ndim = role_shapes[role].rows != DIMENSION_NONE};
    shape.dim[0] = dimension_size(config, is_of_head ? DIMENSION_HEAD : role_shapes[role].rows);
    if (role_shapes[role].columns != DIMENSION_NONE) {
        shape.ndim = 2;
        shape.dim[is_turned ? 0 : 1] = dimension_size(config, role_shapes[role].columns);
        shape.dim[is_turned ? 1 : 0] = dimension_size(config, role_shapes[role].rows);
    }
    *ret_shape = shape;
}

static int compare_names(const void *a, const void *b)
{
    const struct score_tensor *const *first = a, *const *second = b;
    return strcmp((*first)->name, (*second)->name);
}

static int find_tensor(const struct score_config *config, const struct score_tensor *const *sorted,
                       size_t count, enum score_role role, uint64_t number, struct tensor_view *ret_view,
                       struct err *err)
{
    char name[SCORE_NAME_BYTES], found_shape[64], wanted_shape[64];
    struct tensor_shape shape;
    score_tensor_name(config, role, number, name);
    if (!name[0]) {
        *ret_view = (struct tensor_view){.data = NULL};
        return 0;
    }
    struct score_tensor wanted = {.name = name};
    const struct score_tensor *key = &wanted;
    const struct score_tensor *const *found =
        /* An array of pointers is sorted and searched. NOLINTNEXTLINE(bugprone-sizeof-expression) */
        count ? bsearch(&key, sorted, count, sizeof(*sorted), compare_names) : NULL;
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "there is no tensor %s", name);
    const struct tensor_view *view = &(*found)->view;
    if (view->dtype != TENSOR_DTYPE_F16 && view->dtype != TENSOR_DTYPE_BF16 &&
        view->dtype != TENSOR_DTYPE_F32)
        return err_set(err, ERR_UNSUPPORTED, "tensor %s is %s, not float16, bfloat16 or float32", name,
                       tensor_dtype_name(view->dtype));
    score_tensor_shape(config, role, &shape);
    if (view->shape.ndim != shape.ndim || (shape.ndim && view->shape.dim[0] != shape.dim[0]) ||
        (shape.ndim == 2 && view->shape.dim[1] != shape.dim[1]))
        return err_set(err, ERR_FORMAT, "tensor %s has the shape %s, config.json asks for %s", name,
                       tensor_shape_format(&view->shape, found_shape, sizeof(found_shape)),
                       tensor_shape_format(&shape, wanted_shape, sizeof(wanted_shape)));
    if (!view->data)
        return err_set(err, ERR_INVALID, "tensor %s was not loaded", name);
    *ret_view = *view;
    ret_view->shape.dim[0] = shape.dim[0]; /* of a number, too: it is one element */
    return 0;
}

#define PARTS_MAX 3

/* What one tensor holds, in its order of rows. */
static const struct {
    enum score_role whole, parts[PARTS_MAX];
    size_t count;
} splits[] = {
    {SCORE_ROLE_QKV_WEIGHT, {SCORE_ROLE_QUERY_WEIGHT, SCORE_ROLE_KEY_WEIGHT, SCORE_ROLE_VALUE_WEIGHT}, 3},
    {SCORE_ROLE_QKV_BIAS, {SCORE_ROLE_QUERY_BIAS, SCORE_ROLE_KEY_BIAS, SCORE_ROLE_VALUE_BIAS}, 3},
    {SCORE_ROLE_MLP_UP_GATE_WEIGHT, {SCORE_ROLE_MLP_UP_WEIGHT, SCORE_ROLE_MLP_GATE_WEIGHT}, 2},
    {SCORE_ROLE_MLP_UP_GATE_BIAS, {SCORE_ROLE_MLP_UP_BIAS, SCORE_ROLE_MLP_GATE_BIAS}, 2},
};

/* So that backends see queries, keys and values, gate and up as they are in families that have them apart. */
static void split_tensors(const struct score_config *config, const struct score_architecture *architecture,
                          struct tensor_view *views)
{
    for (size_t i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
        struct tensor_view *whole = &views[splits[i].whole];
        const unsigned char *data = whole->data;
        if (!data || architecture->qkv_order != SCORE_QKV_ORDER_APART)
            continue;
        const int is_turned = architecture->is_gate_first && splits[i].count == 2;
        for (size_t j = 0; j < splits[i].count; j++) {
            const enum score_role role = splits[i].parts[is_turned ? 1 - j : j];
            struct tensor_view *part = &views[role];
            *part = (struct tensor_view){.dtype = whole->dtype, .data = data};
            score_tensor_shape(config, role, &part->shape);
            data += part->shape.dim[0] * (part->shape.ndim == 2 ? part->shape.dim[1] : 1) *
                    (tensor_dtype_bits(whole->dtype) / 8);
        }
        *whole = (struct tensor_view){.data = NULL};
    }
}

/* So that backends see one MLP that all inputs of a layer go through, whether there are experts beside it. */
static void place_shared(struct tensor_view *views)
{
    static const struct {
        enum score_role shared, own;
    } parts[] = {
        {SCORE_ROLE_SHARED_GATE_WEIGHT, SCORE_ROLE_MLP_GATE_WEIGHT},
        {SCORE_ROLE_SHARED_UP_WEIGHT, SCORE_ROLE_MLP_UP_WEIGHT},
        {SCORE_ROLE_SHARED_DOWN_WEIGHT, SCORE_ROLE_MLP_DOWN_WEIGHT},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (views[parts[i].shared].data)
            views[parts[i].own] = views[parts[i].shared];
        views[parts[i].shared] = (struct tensor_view){.data = NULL};
    }
}

static struct tensor_view *view_of(const struct score_weights *weights, enum score_role role, uint64_t number)
{
    return role < SCORE_ROLE_EXPERT_FIRST ? &weights->layers[number][role]
                                          : &weights->experts[number][role - SCORE_ROLE_EXPERT_FIRST];
}

int score_weights_find(const struct score_model_source *source, struct score_weights *ret_weights,
                       struct err *err)
{
    struct score_weights weights = {.layers = NULL};
    const struct score_architecture *architecture;
    int code = score_config_check(&source->config, err);
    if (code || (code = score_architecture_find(source->config.architecture, &architecture, err)))
        return code;
    const struct score_tensor **sorted =
        calloc(source->tensor_count + 1, sizeof(const struct score_tensor *));
    weights.layers = calloc((size_t)source->config.layer_count, sizeof(*weights.layers));
    if (source->config.expert_count)
        weights.experts = calloc((size_t)(source->config.layer_count * source->config.expert_count),
                                 sizeof(*weights.experts));
    if (!sorted || !weights.layers || (source->config.expert_count && !weights.experts)) {
        code = err_set(err, ERR_NO_MEMORY, "no memory for a table of %zu tensors", source->tensor_count);
        goto out;
    }
    for (size_t i = 0; i < source->tensor_count; i++)
        sorted[i] = &source->tensors[i];
    /* An array of pointers is sorted and searched. NOLINTNEXTLINE(bugprone-sizeof-expression) */
    qsort(sorted, source->tensor_count, sizeof(*sorted), compare_names);
    for (int role = 0; role < SCORE_ROLE_LAYER_FIRST; role++)
        if ((code = find_tensor(&source->config, sorted, source->tensor_count, (enum score_role)role, 0,
                                &weights.model[role], err)))
            goto out;
    for (int role = SCORE_ROLE_LAYER_FIRST; role < SCORE_ROLE_COUNT; role++)
        for (uint64_t i = 0; i < score_role_count(&source->config, (enum score_role)role); i++)
            if ((code = find_tensor(&source->config, sorted, source->tensor_count, (enum score_role)role, i,
                                    view_of(&weights, (enum score_role)role, i), err)))
                goto out;
    for (uint64_t layer = 0; layer < source->config.layer_count; layer++) {
        split_tensors(&source->config, architecture, weights.layers[layer]);
        place_shared(weights.layers[layer]);
    }
    if (source->config.is_tied)
        weights.model[SCORE_ROLE_UNEMBEDDING] = weights.model[SCORE_ROLE_EMBEDDING];
    *ret_weights = weights;
    weights.layers = NULL, weights.experts = NULL;
out:
    free(sorted);
    free(weights.layers);
    free(weights.experts);
    return code;
}

void score_weights_free(struct score_weights *weights)
{
    if (!weights)
        return;
    free(weights->layers);
    free(weights->experts);
    *weights = (struct score_weights){.layers = NULL};
}
