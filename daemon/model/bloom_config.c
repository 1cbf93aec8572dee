#include "daemon/model/bloom_config.h"

#include "daemon/model/config_doubt.h"

static const char *const own[] = {"n_layer", "n_head", "layer_norm_epsilon", NULL};

static const char *const never_null[] = {
    "tie_word_embeddings", "layer_norm_epsilon", "apply_residual_connection_post_layernorm",
    "slow_but_exact",      "pretraining_tp",     NULL,
};

/* Which lm-evaluation-harness takes for the length of the context. */
static const char *const positions[] = {"n_positions", "max_position_embeddings", "n_ctx"};

void bloom_config_prepare(json_t *root, struct model_config *config)
{
    char *doubt = config->doubt;
    json_t *width = json_object_get(root, "n_embed");
    const json_t *parts = json_object_get(root, "pretraining_tp");
    if (config_doubt_flag(root, "apply_residual_connection_post_layernorm", 0, doubt))
        config_doubt_set(doubt, "\"apply_residual_connection_post_layernorm\" is true");
    if (config_doubt_flag(root, "slow_but_exact", 0, doubt) && parts && json_integer_value(parts) != 1)
        config_doubt_set(doubt, "\"slow_but_exact\" leaves out biases");
    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++)
        if (config_doubt_is_there(json_object_get(root, positions[i])))
            config_doubt_set(doubt, "\"%s\" is there, which no BLOOM has", positions[i]);
    config_doubt_pair(root, "n_layer", "num_hidden_layers", doubt);
    config_doubt_pair(root, "n_head", "num_attention_heads", doubt);
    if (config_doubt_is_there(width))
        (void)json_object_set(root, "hidden_size", width);
    config_doubt_nulls(root, never_null, doubt);
    config_doubt_foreign(root, doubt);
    config_doubt_drop_others(root, own);
}
