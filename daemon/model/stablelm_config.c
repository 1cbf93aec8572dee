#include "daemon/model/stablelm_config.h"

#include "daemon/model/config_doubt.h"

#include <stddef.h>
#include <string.h>

static const char *const never_null[] = {
    "use_qkv_bias", "qk_layernorm", "use_parallel_residual", "layer_norm_eps", "partial_rotary_factor", NULL,
};

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
    config_doubt_rename(root, "use_qkv_bias", "attention_bias");
    config_doubt_rename(root, "layer_norm_eps", "rms_norm_eps");
}
