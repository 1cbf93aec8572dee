#include "daemon/model/config_doubt.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* GPT-2's, OPT's and the first OLMo's for what the families after GPT-NeoX call otherwise. */
static const char *const others[] = {
    "n_embd",
    "d_model",
    "n_layer",
    "n_layers",
    "n_head",
    "n_heads",
    "n_inner",
    "ffn_dim",
    "n_positions",
    "layer_norm_epsilon",
    "activation_function",
    "max_sequence_length",
    "weight_tying",
    NULL,
};

int config_doubt_is_there(const json_t *value)
{
    return value && !json_is_null(value);
}

void config_doubt_set(char *doubt, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(doubt, CONFIG_DOUBT_BYTES, format, arguments);
    va_end(arguments);
}

void config_doubt_nulls(const json_t *root, const char *const *names, char *doubt)
{
    for (; *names; names++)
        if (json_is_null(json_object_get(root, *names)))
            config_doubt_set(doubt, "\"%s\" is null", *names);
}

void config_doubt_positions(const json_t *root, char *doubt)
{
    const json_t *positions = json_object_get(root, "n_positions");
    if (config_doubt_is_there(positions) &&
        (!json_is_integer(positions) ||
         json_integer_value(positions) !=
             json_integer_value(json_object_get(root, "max_position_embeddings"))))
        config_doubt_set(doubt, "\"n_positions\" is not max_position_embeddings");
}

void config_doubt_foreign(const json_t *root, char *doubt)
{
    if (json_object_size(json_object_get(root, "pruned_heads")) > 0)
        config_doubt_set(doubt, "\"pruned_heads\" names heads");
    if (json_object_size(json_object_get(root, "per_layer_config")) > 0)
        config_doubt_set(doubt, "\"per_layer_config\" makes layers unlike each other");
    if (config_doubt_is_there(json_object_get(root, "quantization_config")))
        config_doubt_set(doubt, "\"quantization_config\" asks for rounded weights");
}

static int has_two_types(const json_t *rope)
{
    const char *type = json_string_value(json_object_get(rope, "type"));
    const char *rope_type = json_string_value(json_object_get(rope, "rope_type"));
    return type && rope_type && strcmp(type, rope_type) != 0;
}

void config_doubt_rotary_types(const json_t *root, char *doubt)
{
    if (has_two_types(json_object_get(root, "rope_scaling")) ||
        has_two_types(json_object_get(root, "rope_parameters")))
        config_doubt_set(doubt, "\"type\" and \"rope_type\" of the rotary embeddings differ");
}

void config_doubt_drop(json_t *root, const char *const *names)
{
    for (; *names; names++)
        (void)json_object_del(root, *names);
}

void config_doubt_drop_others(json_t *root)
{
    config_doubt_drop(root, others);
}
