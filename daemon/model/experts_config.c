#include "daemon/model/experts_config.h"

#include "daemon/base/limits.h"
#include "daemon/model/config_doubt.h"

#include <string.h>

/* The classes' numbers, and which keys they have. */
static const struct dialect {
    const char *model_type;
    const char *count;                        /* the key of how many there are */
    uint64_t expert_count, experts_per_input; /* 0: must be said */
    const char *width;                        /* the key of an expert's width */
    int has_dense_layers;                     /* "mlp_only_layers" and "decoder_sparse_step" */
    int has_fixed_heads;                      /* whose size "head_dim" must not change */
    int has_shared;                           /* the router's second kind, and MLPs beside the experts */
} dialects[] = {
    {"olmoe", "num_experts", 64, 8, "intermediate_size", 0, 1, 0},
    {"qwen3_moe", "num_experts", 128, 8, "moe_intermediate_size", 1, 0, 0},
    {"dots1", "n_routed_experts", 0, 0, "moe_intermediate_size", 0, 0, 1},
};

static const struct dialect *find(const struct family *family)
{
    for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++)
        if (strcmp(dialects[i].model_type, family->model_type) == 0)
            return &dialects[i];
    return NULL;
}

int experts_config_has(const struct family *family)
{
    return find(family) != NULL;
}

static uint64_t count_or(const json_t *root, const char *name, uint64_t absent, char *doubt)
{
    const json_t *value = json_object_get(root, name);
    if (!value && absent)
        return absent;
    if (json_is_integer(value) && json_integer_value(value) > 0 &&
        json_integer_value(value) <= (json_int_t)LIMIT_SCORE_EXPERTS)
        return (uint64_t)json_integer_value(value);
    config_doubt_set(doubt, "\"%s\" is no number of experts, from 1 to %d", name, LIMIT_SCORE_EXPERTS);
    return absent;
}

/* Layers without experts among others are another model. */
static void doubt_dense_layers(const json_t *root, char *doubt)
{
    const json_t *dense = json_object_get(root, "mlp_only_layers");
    const json_t *step = json_object_get(root, "decoder_sparse_step");
    if (config_doubt_is_there(dense) && !(json_is_array(dense) && json_array_size(dense) == 0))
        config_doubt_set(doubt, "\"mlp_only_layers\" names layers without experts, which are not scored");
    if (step && !(json_is_integer(step) && json_integer_value(step) == 1))
        config_doubt_set(doubt, "\"decoder_sparse_step\" is not 1");
}

/* Version 4 takes no notice of these keys; 5 does, but not for the norms of queries and keys. */
static void doubt_fixed(const json_t *root, const struct model_config *config, char *doubt)
{
    const json_int_t heads = json_integer_value(json_object_get(root, "num_attention_heads"));
    const json_int_t width = json_integer_value(json_object_get(root, "hidden_size"));
    if (config->head_size &&
        (heads < 1 || width < 1 || width % heads != 0 || config->head_size != (uint64_t)(width / heads)))
        config_doubt_set(doubt, "\"head_dim\" is not hidden_size divided by num_attention_heads");
    if (config_doubt_is_there(json_object_get(root, "sliding_window")))
        config_doubt_set(doubt, "\"sliding_window\" is there");
}

static uint64_t number_or(const json_t *root, const char *name, uint64_t absent, uint64_t max, char *doubt)
{
    const json_t *value = json_object_get(root, name);
    if (!value)
        return absent;
    if (json_is_integer(value) && json_integer_value(value) >= 0 &&
        (uint64_t)json_integer_value(value) <= max)
        return (uint64_t)json_integer_value(value);
    config_doubt_set(doubt, "\"%s\" is no number from 0 to %d", name, (int)max);
    return absent;
}

/* Of experts in groups that are left out versions think differently: 4.57 may choose them all the same. */
static void doubt_groups(const json_t *root, const struct model_config *config, char *doubt)
{
    const uint64_t groups = number_or(root, "n_group", 1, LIMIT_SCORE_EXPERTS, doubt);
    const uint64_t chosen = number_or(root, "topk_group", 1, LIMIT_SCORE_EXPERTS, doubt);
    if (doubt[0])
        return;
    if (!groups || config->expert_count % groups || config->expert_count / groups < 2)
        config_doubt_set(doubt, "\"n_group\" is no number of groups of two experts or more");
    else if (chosen != groups)
        config_doubt_set(doubt, "\"topk_group\" is not n_group");
}

/* The window is that of layers from "max_window_layers" on, or of those that "layer_types" names. */
static void doubt_window(const json_t *root, char *doubt)
{
    const json_t *window = json_object_get(root, "sliding_window"),
                 *types = json_object_get(root, "layer_types");
    const uint64_t layers = number_or(root, "num_hidden_layers", 62, LIMIT_SCORE_LAYERS, doubt);
    const uint64_t first = number_or(root, "max_window_layers", 62, LIMIT_SCORE_LAYERS, doubt);
    size_t sliding = 0;
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        sliding += !type || strcmp(type, "full_attention") != 0;
    }
    if (config_doubt_is_there(types) &&
        (!json_is_array(types) || json_array_size(types) != layers || sliding))
        config_doubt_set(doubt, "\"layer_types\" is not full_attention for each layer");
    else if (!config_doubt_is_there(types) && first < layers && !json_is_null(window))
        config_doubt_set(doubt, "\"max_window_layers\" leaves layers with a sliding window");
}

/* What stands beside the experts, and which of these are chosen. */
static void read_shared(json_t *root, struct model_config *config)
{
    char *doubt = config->doubt;
    const json_t *scale = json_object_get(root, "routed_scaling_factor");
    const uint64_t width = number_or(root, "moe_intermediate_size", 1408, LIMIT_SCORE_WIDTH, doubt);
    const uint64_t shared = number_or(root, "n_shared_experts", 0, LIMIT_SCORE_WIDTH, doubt);
    config->has_sigmoid_router = 1;
    config->router_scale = scale ? json_number_value(scale) : 1;
    config->dense_layer_count = number_or(root, "first_k_dense_replace", 0, LIMIT_SCORE_LAYERS, doubt);
    config->dense_size =
        config->dense_layer_count ? number_or(root, "intermediate_size", 10944, LIMIT_SCORE_WIDTH, doubt) : 0;
    config->shared_size = width * shared; /* at most 2^40 */
    if (!config->shared_size || config->shared_size > LIMIT_SCORE_WIDTH)
        config_doubt_set(doubt, "\"n_shared_experts\" is no number of shared experts");
    if (!(config->router_scale > 0))
        config_doubt_set(doubt, "\"routed_scaling_factor\" is no positive number");
    doubt_groups(root, config, doubt);
    doubt_window(root, doubt);
    if (!json_object_get(root, "moe_intermediate_size"))
        (void)json_object_set_new(root, "moe_intermediate_size", json_integer(1408));
}

void experts_config_prepare(json_t *root, const struct family *family, struct model_config *config)
{
    const struct dialect *dialect = find(family);
    const json_t *normalised = json_object_get(root, "norm_topk_prob");
    const json_t *other = json_object_get(root, "num_local_experts");
    if (!dialect)
        return;
    config->expert_count = count_or(root, dialect->count, dialect->expert_count, config->doubt);
    config->experts_per_input =
        count_or(root, "num_experts_per_tok", dialect->experts_per_input, config->doubt);
    config->has_normalised_router = json_is_true(normalised);
    if (normalised && !json_is_boolean(normalised))
        config_doubt_set(config->doubt, "\"norm_topk_prob\" is neither true nor false");
    if (!config->doubt[0] && config->experts_per_input > config->expert_count)
        config_doubt_set(config->doubt, "\"num_experts_per_tok\" is more than \"%s\"", dialect->count);
    if (other && !json_equal(other, json_object_get(root, dialect->count)))
        config_doubt_set(config->doubt, "\"num_local_experts\" is not %s", dialect->count);
    if (dialect->has_dense_layers)
        doubt_dense_layers(root, config->doubt);
    if (dialect->has_fixed_heads)
        doubt_fixed(root, config, config->doubt);
    if (dialect->has_shared)
        read_shared(root, config);
    json_t *width = json_object_get(root, dialect->width);
    if (!width || json_object_set(root, "intermediate_size", width))
        (void)json_object_del(root, "intermediate_size");
}
