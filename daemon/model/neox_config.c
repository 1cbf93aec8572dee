#include "daemon/model/neox_config.h"

#include "daemon/model/config_doubt.h"

static const char *const own[] = {
    "intermediate_size", "hidden_act",      "layer_norm_eps", "use_parallel_residual", "attention_bias",
    "rotary_pct",        "rotary_emb_base", "rope_scaling",   "rope_parameters",       NULL,
};

static const char *const never_null[] = {
    "use_parallel_residual",
    "attention_bias",
    "tie_word_embeddings",
    "hidden_act",
    "rotary_pct",
    "rotary_emb_base",
    "layer_norm_eps",
    NULL,
};

static json_int_t integer_of(const json_t *root, const char *name)
{
    return json_integer_value(json_object_get(root, name));
}

/* The angles of the rotation are counted by head_dim, and what is rotated is not. */
static void doubt_head_size(const json_t *root, char *doubt)
{
    const json_t *head_size = json_object_get(root, "head_dim");
    json_int_t heads = integer_of(root, "num_attention_heads");
    if (config_doubt_is_there(head_size) && heads > 0 &&
        (!json_is_integer(head_size) ||
         json_integer_value(head_size) != integer_of(root, "hidden_size") / heads))
        config_doubt_set(doubt, "\"head_dim\" is not hidden_size / num_attention_heads");
}

void neox_config_prepare(json_t *root, char *doubt)
{
    *doubt = '\0';
    doubt_head_size(root, doubt);
    config_doubt_nulls(root, never_null, doubt);
    config_doubt_rotary_types(root, doubt);
    config_doubt_positions(root, doubt);
    config_doubt_foreign(root, doubt);
    config_doubt_drop_others(root, own);
}
