#include "daemon/model/experts_config.h"

#include "daemon/base/limits.h"
#include "daemon/model/config_doubt.h"

#include <string.h>

/* The classes' numbers, and which keys they have. */
static const struct dialect {
    const char *model_type;
    uint64_t expert_count, experts_per_input;
    const char *width;    /* the key of an expert's width */
    int has_dense_layers; /* "mlp_only_layers" and "decoder_sparse_step" */
    int has_fixed_heads;  /* whose size "head_dim" must not change */
} dialects[] = {
    {"olmoe", 64, 8, "intermediate_size", 0, 1},
    {"qwen3_moe", 128, 8, "moe_intermediate_size", 1, 0},
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
    if (!value)
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

void experts_config_prepare(json_t *root, const struct family *family, struct model_config *config)
{
    const struct dialect *dialect = find(family);
    const json_t *normalised = json_object_get(root, "norm_topk_prob");
    const json_t *other = json_object_get(root, "num_local_experts");
    if (!dialect)
        return;
    config->expert_count = count_or(root, "num_experts", dialect->expert_count, config->doubt);
    config->experts_per_input =
        count_or(root, "num_experts_per_tok", dialect->experts_per_input, config->doubt);
    config->has_normalised_router = json_is_true(normalised);
    if (normalised && !json_is_boolean(normalised))
        config_doubt_set(config->doubt, "\"norm_topk_prob\" is neither true nor false");
    if (!config->doubt[0] && config->experts_per_input > config->expert_count)
        config_doubt_set(config->doubt, "\"num_experts_per_tok\" is more than \"num_experts\"");
    if (other && !json_equal(other, json_object_get(root, "num_experts")))
        config_doubt_set(config->doubt, "\"num_local_experts\" is not num_experts");
    if (dialect->has_dense_layers)
        doubt_dense_layers(root, config->doubt);
    if (dialect->has_fixed_heads)
        doubt_fixed(root, config, config->doubt);
    json_t *width = json_object_get(root, dialect->width);
    if (!width || json_object_set(root, "intermediate_size", width))
        (void)json_object_del(root, "intermediate_size");
}
