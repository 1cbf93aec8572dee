#include "daemon/model/gpt2_config.h"

#include "daemon/model/config_doubt.h"

/* Names that other families have for the same things, or for what this one does not have. */
static const char *const foreign[] = {
    "d_model",
    "n_layers",
    "n_heads",
    "intermediate_size",
    "ffn_dim",
    "num_key_value_heads",
    "max_sequence_length",
    "hidden_act",
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
    "tie_word_embeddings",
    "activation_function",
    "layer_norm_epsilon",
    "scale_attn_weights",
    "scale_attn_by_inverse_layer_idx",
    "reorder_and_upcast_attn",
    "add_cross_attention",
    NULL,
};

/* Each size has two names, of which the class takes either. */
static const char *const names[][2] = {
    {"n_embd", "hidden_size"},
    {"n_layer", "num_hidden_layers"},
    {"n_head", "num_attention_heads"},
    {"n_positions", "max_position_embeddings"},
};

static void doubt_sizes(const json_t *root, char *doubt)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const json_t *own = json_object_get(root, names[i][0]), *other = json_object_get(root, names[i][1]);
        if (own && other && !json_equal(own, other))
            config_doubt_set(doubt, "\"%s\" is not %s", names[i][1], names[i][0]);
    }
}

static int read_flag(const json_t *root, const char *name, int absent, char *doubt)
{
    const json_t *flag = json_object_get(root, name);
    if (config_doubt_is_there(flag) && !json_is_boolean(flag))
        config_doubt_set(doubt, "\"%s\" is neither true nor false", name);
    return flag ? json_is_true(flag) : absent;
}

void gpt2_config_prepare(json_t *root, struct model_config *config)
{
    char *doubt = config->doubt;
    config->has_unscaled_attention = !read_flag(root, "scale_attn_weights", 1, doubt);
    config->has_attention_scale_by_layer = read_flag(root, "scale_attn_by_inverse_layer_idx", 0, doubt);
    /* In half precision another order of the same products: nothing that counts here. */
    (void)read_flag(root, "reorder_and_upcast_attn", 0, doubt);
    if (read_flag(root, "add_cross_attention", 0, doubt))
        config_doubt_set(doubt, "\"add_cross_attention\" asks for a second text");
    doubt_sizes(root, doubt);
    config_doubt_nulls(root, never_null, doubt);
    config_doubt_foreign(root, doubt);
    config_doubt_drop(root, foreign);
}
