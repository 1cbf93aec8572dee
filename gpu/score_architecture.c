#include "daemon/base/checked.h"
#include "gpu/score.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The table: one row per family. A role without a name is a tensor that the family does not have. */
static const char *const gpt_neox_names[SCORE_ROLE_COUNT] = {
    [SCORE_ROLE_EMBEDDING] = "gpt_neox.embed_in.weight",
    [SCORE_ROLE_UNEMBEDDING] = "embed_out.weight",
    [SCORE_ROLE_FINAL_NORM_WEIGHT] = "gpt_neox.final_layer_norm.weight",
    [SCORE_ROLE_FINAL_NORM_BIAS] = "gpt_neox.final_layer_norm.bias",
    [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = "gpt_neox.layers.%u.input_layernorm.weight",
    [SCORE_ROLE_ATTENTION_NORM_BIAS] = "gpt_neox.layers.%u.input_layernorm.bias",
    [SCORE_ROLE_QKV_WEIGHT] = "gpt_neox.layers.%u.attention.query_key_value.weight",
    [SCORE_ROLE_QKV_BIAS] = "gpt_neox.layers.%u.attention.query_key_value.bias",
    [SCORE_ROLE_ATTENTION_OUT_WEIGHT] = "gpt_neox.layers.%u.attention.dense.weight",
    [SCORE_ROLE_ATTENTION_OUT_BIAS] = "gpt_neox.layers.%u.attention.dense.bias",
    [SCORE_ROLE_MLP_NORM_WEIGHT] = "gpt_neox.layers.%u.post_attention_layernorm.weight",
    [SCORE_ROLE_MLP_NORM_BIAS] = "gpt_neox.layers.%u.post_attention_layernorm.bias",
    [SCORE_ROLE_MLP_UP_WEIGHT] = "gpt_neox.layers.%u.mlp.dense_h_to_4h.weight",
    [SCORE_ROLE_MLP_UP_BIAS] = "gpt_neox.layers.%u.mlp.dense_h_to_4h.bias",
    [SCORE_ROLE_MLP_DOWN_WEIGHT] = "gpt_neox.layers.%u.mlp.dense_4h_to_h.weight",
    [SCORE_ROLE_MLP_DOWN_BIAS] = "gpt_neox.layers.%u.mlp.dense_4h_to_h.bias",
};

static const struct score_architecture architectures[] = {
    {.name = "gpt_neox", .names = gpt_neox_names, .qkv_order = SCORE_QKV_ORDER_PER_HEAD},
};

/* Sizes that shapes are made of. */
enum dimension { DIMENSION_NONE, DIMENSION_VOCABULARY, DIMENSION_HIDDEN, DIMENSION_QKV, DIMENSION_MLP };

static const struct {
    enum dimension rows, columns; /* columns NONE: a vector */
} role_shapes[SCORE_ROLE_COUNT] = {
    [SCORE_ROLE_EMBEDDING] = {DIMENSION_VOCABULARY, DIMENSION_HIDDEN},
    [SCORE_ROLE_UNEMBEDDING] = {DIMENSION_VOCABULARY, DIMENSION_HIDDEN},
    [SCORE_ROLE_FINAL_NORM_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_FINAL_NORM_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_ATTENTION_NORM_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_ATTENTION_NORM_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_QKV_WEIGHT] = {DIMENSION_QKV, DIMENSION_HIDDEN},
    [SCORE_ROLE_QKV_BIAS] = {DIMENSION_QKV, DIMENSION_NONE},
    [SCORE_ROLE_ATTENTION_OUT_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_HIDDEN},
    [SCORE_ROLE_ATTENTION_OUT_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_MLP_NORM_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_MLP_NORM_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
    [SCORE_ROLE_MLP_UP_WEIGHT] = {DIMENSION_MLP, DIMENSION_HIDDEN},
    [SCORE_ROLE_MLP_UP_BIAS] = {DIMENSION_MLP, DIMENSION_NONE},
    [SCORE_ROLE_MLP_DOWN_WEIGHT] = {DIMENSION_HIDDEN, DIMENSION_MLP},
    [SCORE_ROLE_MLP_DOWN_BIAS] = {DIMENSION_HIDDEN, DIMENSION_NONE},
};

int score_architecture_find(const char *name, const struct score_architecture **ret_architecture,
                            struct err *err)
{
    char known[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++) {
        if (strcmp(architectures[i].name, name) == 0) {
            *ret_architecture = &architectures[i];
            return 0;
        }
        int length =
            snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "", architectures[i].name);
        if (length > 0 && (size_t)length < sizeof(known) - used)
            used += (size_t)length;
    }
    return err_set(err, ERR_UNSUPPORTED, "models of type \"%s\" cannot be scored, only %s", name, known);
}

static int check_size(const char *what, uint64_t value, uint64_t max, struct err *err)
{
    if (value == 0)
        return err_set(err, ERR_INVALID, "%s must be at least 1", what);
    if (value > max)
        return err_set(err, ERR_LIMIT, "%s is %llu, more than %llu", what, (unsigned long long)value,
                       (unsigned long long)max);
    return 0;
}

int score_config_check(const struct score_config *config, struct err *err)
{
    const struct score_architecture *architecture;
    int code = score_architecture_find(config->architecture, &architecture, err);
    if (code || (code = check_size("vocabulary size", config->vocabulary_rows, LIMIT_VOCABULARY, err)) ||
        (code = check_size("hidden size", config->hidden_size, LIMIT_SCORE_WIDTH, err)) ||
        (code = check_size("number of layers", config->layer_count, LIMIT_SCORE_LAYERS, err)) ||
        (code = check_size("number of heads", config->head_count, LIMIT_SCORE_HEADS, err)) ||
        (code = check_size("intermediate size", config->intermediate_size, LIMIT_SCORE_WIDTH, err)) ||
        (code = check_size("number of positions", config->max_positions, LIMIT_SCORE_POSITIONS, err)))
        return code;
    if (config->hidden_size % config->head_count)
        return err_set(err, ERR_INVALID, "%llu heads do not divide the hidden size %llu",
                       (unsigned long long)config->head_count, (unsigned long long)config->hidden_size);
    if (config->rotary_dimensions % 2 || config->rotary_dimensions > config->hidden_size / config->head_count)
        return err_set(err, ERR_UNSUPPORTED,
                       "%llu rotated dimensions: must be even and at most the %llu of a head",
                       (unsigned long long)config->rotary_dimensions,
                       (unsigned long long)(config->hidden_size / config->head_count));
    if (config->rotary_dimensions && !(config->rotary_base > 0 && isfinite(config->rotary_base)))
        return err_set(err, ERR_INVALID, "the base of the rotary embedding must be positive, not %g",
                       config->rotary_base);
    if (!(config->norm_epsilon >= 0 && isfinite(config->norm_epsilon)))
        return err_set(err, ERR_INVALID, "the epsilon of the layer norm must not be %g",
                       config->norm_epsilon);
    if ((unsigned)config->activation >= SCORE_ACTIVATION_COUNT)
        return err_set(err, ERR_UNSUPPORTED, "unknown activation function %d", (int)config->activation);
    return 0;
}

static uint64_t dimension_size(const struct score_config *config, enum dimension dimension)
{
    switch (dimension) {
    case DIMENSION_VOCABULARY:
        return config->vocabulary_rows;
    case DIMENSION_HIDDEN:
        return config->hidden_size;
    case DIMENSION_QKV:
        return 3 * config->hidden_size;
    case DIMENSION_MLP:
        return config->intermediate_size;
    case DIMENSION_NONE:
        break;
    }
    return 1;
}

void score_tensor_name(const struct score_config *config, enum score_role role, uint64_t layer,
                       char name[SCORE_NAME_BYTES])
{
    const struct score_architecture *architecture;
    struct err err = ERR_INIT;
    name[0] = '\0';
    if (score_architecture_find(config->architecture, &architecture, &err))
        return;
    int is_attention_bias = role == SCORE_ROLE_QKV_BIAS || role == SCORE_ROLE_ATTENTION_OUT_BIAS;
    const char *template = architecture->names[role];
    if (!template || (role == SCORE_ROLE_UNEMBEDDING && config->is_tied) ||
        (is_attention_bias && !config->has_attention_bias))
        return;
    const char *number = strstr(template, "%u");
    if (!number)
        (void)snprintf(name, SCORE_NAME_BYTES, "%s", template);
    else
        (void)snprintf(name, SCORE_NAME_BYTES, "%.*s%llu%s", (int)(number - template), template,
                       (unsigned long long)layer, number + 2);
}

uint64_t score_name_layers(const struct score_config *config, const char *name)
{
    char first[SCORE_NAME_BYTES], *end;
    score_tensor_name(config, SCORE_ROLE_LAYER_FIRST, 0, first);
    size_t prefix = strcspn(first, "0");
    if (!first[prefix] || strncmp(name, first, prefix) != 0 || !isdigit((unsigned char)name[prefix]))
        return 0;
    unsigned long long layer = strtoull(name + prefix, &end, 10); /* ULLONG_MAX for more */
    return *end != '.' ? 0 : layer < UINT64_MAX ? layer + 1 : layer;
}

void score_tensor_shape(const struct score_config *config, enum score_role role,
                        struct tensor_shape *ret_shape)
{
    struct tensor_shape shape = {.ndim = 1};
    shape.dim[0] = dimension_size(config, role_shapes[role].rows);
    if (role_shapes[role].columns != DIMENSION_NONE) {
        shape.ndim = 2;
        shape.dim[1] = dimension_size(config, role_shapes[role].columns);
    }
    *ret_shape = shape;
}

static int compare_names(const void *a, const void *b)
{
    const struct score_tensor *const *first = a, *const *second = b;
    return strcmp((*first)->name, (*second)->name);
}

static int find_tensor(const struct score_config *config, const struct score_tensor *const *sorted,
                       size_t count, enum score_role role, uint64_t layer, struct tensor_view *ret_view,
                       struct err *err)
{
    char name[SCORE_NAME_BYTES], found_shape[64], wanted_shape[64];
    struct tensor_shape shape;
    score_tensor_name(config, role, layer, name);
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
    if (view->shape.ndim != shape.ndim || view->shape.dim[0] != shape.dim[0] ||
        (shape.ndim == 2 && view->shape.dim[1] != shape.dim[1]))
        return err_set(err, ERR_FORMAT, "tensor %s has the shape %s, config.json asks for %s", name,
                       tensor_shape_format(&view->shape, found_shape, sizeof(found_shape)),
                       tensor_shape_format(&shape, wanted_shape, sizeof(wanted_shape)));
    if (!view->data)
        return err_set(err, ERR_INVALID, "tensor %s was not loaded", name);
    *ret_view = *view;
    return 0;
}

int score_weights_find(const struct score_model_source *source, struct score_weights *ret_weights,
                       struct err *err)
{
    struct score_weights weights = {.layers = NULL};
    int code = score_config_check(&source->config, err);
    if (code)
        return code;
    const struct score_tensor **sorted =
        calloc(source->tensor_count + 1, sizeof(const struct score_tensor *));
    weights.layers = calloc((size_t)source->config.layer_count, sizeof(*weights.layers));
    if (!sorted || !weights.layers) {
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
    for (uint64_t layer = 0; layer < source->config.layer_count; layer++)
        for (int role = SCORE_ROLE_LAYER_FIRST; role < SCORE_ROLE_COUNT; role++)
            if ((code = find_tensor(&source->config, sorted, source->tensor_count, (enum score_role)role,
                                    layer, &weights.layers[layer][role], err)))
                goto out;
    if (source->config.is_tied)
        weights.model[SCORE_ROLE_UNEMBEDDING] = weights.model[SCORE_ROLE_EMBEDDING];
    *ret_weights = weights;
    weights.layers = NULL;
out:
    free(sorted);
    free(weights.layers);
    return code;
}

void score_weights_free(struct score_weights *weights)
{
    if (!weights)
        return;
    free(weights->layers);
    *weights = (struct score_weights){.layers = NULL};
}
