#include "daemon/model/bloom_config.h"

#include "daemon/model/config_doubt.h"

/* Names that other families have for the same things, or for what this one does not have. */
static const char *const foreign[] = {
    "n_embd",
    "d_model",
    "n_layers",
    "n_heads",
    "intermediate_size",
    "n_inner",
    "ffn_dim",
    "num_key_value_heads",
    "max_sequence_length",
    "hidden_act",
    "activation_function",
    "layer_norm_eps",
    "rms_norm_eps",
    "rotary_pct",
    "partial_rotary_factor",
    "rotary_emb_base",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "use_parallel_residual",
    "attention_bias",
    "mlp_bias",
    "weight_tying",
    NULL,
};

static const char *const never_null[] = {
    "tie_word_embeddings", "layer_norm_epsilon", "apply_residual_connection_post_layernorm",
    "slow_but_exact",      "pretraining_tp",     NULL,
};

/* Which lm-evaluation-harness takes for the length of the context. */
static const char *const positions[] = {"n_positions", "max_position_embeddings", "n_ctx"};

static int is_set(const json_t *root, const char *name, char *doubt)
{
    const json_t *flag = json_object_get(root, name);
    if (config_doubt_is_there(flag) && !json_is_boolean(flag))
        config_doubt_set(doubt, "\"%s\" is neither true nor false", name);
    return json_is_true(flag);
}

/* One of two names, or both with one value. */
static void doubt_pair(const json_t *root, const char *own, const char *other, char *doubt)
{
    const json_t *first = json_object_get(root, own), *second = json_object_get(root, other);
    if (first && second && !json_equal(first, second))
        config_doubt_set(doubt, "\"%s\" is not %s", other, own);
}

void bloom_config_prepare(json_t *root, struct model_config *config)
{
    char *doubt = config->doubt;
    json_t *width = json_object_get(root, "n_embed");
    const json_t *parts = json_object_get(root, "pretraining_tp");
    if (is_set(root, "apply_residual_connection_post_layernorm", doubt))
        config_doubt_set(doubt, "\"apply_residual_connection_post_layernorm\" is true");
    if (is_set(root, "slow_but_exact", doubt) && parts && json_integer_value(parts) != 1)
        config_doubt_set(doubt, "\"slow_but_exact\" leaves out biases");
    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++)
        if (config_doubt_is_there(json_object_get(root, positions[i])))
            config_doubt_set(doubt, "\"%s\" is there, which no BLOOM has", positions[i]);
    doubt_pair(root, "n_layer", "num_hidden_layers", doubt);
    doubt_pair(root, "n_head", "num_attention_heads", doubt);
    if (config_doubt_is_there(width))
        (void)json_object_set(root, "hidden_size", width);
    config_doubt_nulls(root, never_null, doubt);
    config_doubt_foreign(root, doubt);
    config_doubt_drop(root, foreign);
}
