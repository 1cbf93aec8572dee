#include "daemon/model/stablelm_config.h"

#include "daemon/model/config_doubt.h"

#include <stddef.h>
#include <string.h>

static const char *const never_null[] = {
    "use_qkv_bias", "qk_layernorm", "use_parallel_residual", "layer_norm_eps", "partial_rotary_factor", NULL,
};

/* What stands there is this family's, whatever the other name says; null is a doubt already. */
static void rename_key(json_t *root, const char *from, const char *to)
{
    json_t *value = json_object_get(root, from);
    (void)json_object_del(root, to);
    if (config_doubt_is_there(value))
        (void)json_object_set(root, to, value);
}

/* Version 4 takes the fraction beside the rotary embeddings, version 5 the one among them first. */
static void doubt_fraction(const json_t *root, char *doubt)
{
    const json_t *outer = json_object_get(root, "partial_rotary_factor");
    const json_t *inner = json_object_get(json_object_get(root, "rope_parameters"), "partial_rotary_factor");
    if (config_doubt_is_there(json_object_get(root, "rope_scaling")))
        config_doubt_set(doubt, "\"rope_scaling\" is there");
    if (outer && inner && !json_equal(outer, inner))
        config_doubt_set(doubt, "\"partial_rotary_factor\" stands twice");
}

/* What is rotated is counted by head_dim, and what is split into heads is not. */
static void doubt_head_size(const json_t *root, char *doubt)
{
    const json_t *head_size = json_object_get(root, "head_dim");
    const json_int_t heads = json_integer_value(json_object_get(root, "num_attention_heads"));
    const json_int_t width = json_integer_value(json_object_get(root, "hidden_size"));
    if (config_doubt_is_there(head_size) && heads > 0 && json_integer_value(head_size) != width / heads)
        config_doubt_set(doubt, "\"head_dim\" is not hidden_size / num_attention_heads");
}

void stablelm_config_prepare(json_t *root, const struct family *family, struct model_config *config)
{
    char *doubt = config->doubt;
    if (strcmp(family->model_type, "stablelm") != 0)
        return;
    config_doubt_nulls(root, never_null, doubt);
    if (config_doubt_flag(root, "qk_layernorm", 0, doubt))
        config_doubt_set(doubt, "\"qk_layernorm\" is true, as in StableLM 2 of 12B");
    if (config_doubt_flag(root, "use_parallel_residual", 0, doubt))
        config_doubt_set(doubt, "\"use_parallel_residual\" is true, as in StableLM 2 of 12B");
    doubt_head_size(root, doubt);
    doubt_fraction(root, doubt);
    rename_key(root, "use_qkv_bias", "attention_bias");
    rename_key(root, "layer_norm_eps", "rms_norm_eps");
}
