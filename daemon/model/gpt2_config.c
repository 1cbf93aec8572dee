#include "daemon/model/gpt2_config.h"

#include "daemon/model/config_doubt.h"

static const char *const own[] = {
    "n_embd", "n_layer", "n_head", "n_inner", "n_positions", "activation_function", "layer_norm_epsilon",
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

void gpt2_config_prepare(json_t *root, struct model_config *config)
{
    char *doubt = config->doubt;
    config->has_unscaled_attention = !config_doubt_flag(root, "scale_attn_weights", 1, doubt);
    config->has_attention_scale_by_layer =
        config_doubt_flag(root, "scale_attn_by_inverse_layer_idx", 0, doubt);
    /* In half precision another order of the same products: nothing that counts here. */
    (void)config_doubt_flag(root, "reorder_and_upcast_attn", 0, doubt);
    if (config_doubt_flag(root, "add_cross_attention", 0, doubt))
        config_doubt_set(doubt, "\"add_cross_attention\" asks for a second text");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        config_doubt_pair(root, names[i][0], names[i][1], doubt);
    config_doubt_nulls(root, never_null, doubt);
    config_doubt_foreign(root, doubt);
    config_doubt_drop_others(root, own);
}
