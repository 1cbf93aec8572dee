#include "daemon/model/config_doubt.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What config.c reads under any name, by what it is: of a family's own, the others' names mean nothing. */
static const char *const synonyms[] = {
    /* sizes */
    "n_embd",
    "d_model",
    "n_layer",
    "n_layers",
    "n_head",
    "n_heads",
    "num_key_value_heads",
    "intermediate_size",
    "n_inner",
    "ffn_dim",
    "n_positions",
    "max_sequence_length",
    /* what a layer computes */
    "hidden_act",
    "activation_function",
    "layer_norm_eps",
    "rms_norm_eps",
    "layer_norm_epsilon",
    "use_parallel_residual",
    "attention_bias",
    "mlp_bias",
    "weight_tying",
    /* rotary embeddings */
    "rotary_pct",
    "partial_rotary_factor",
    "rotary_emb_base",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
};

int config_doubt_is_there(const json_t *value)
{
    return value && !json_is_null(value);
}

/* All of them are told, since whoever mends one wants to know the next. One that has no place is left out,
 * and would be told once the others are mended. */
void config_doubt_set(char *doubt, const char *format, ...)
{
    char clause[CONFIG_DOUBT_BYTES];
    const size_t size = strlen(doubt);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(clause, sizeof clause, format, arguments);
    va_end(arguments);
    if (size + strlen(clause) + 3 <= CONFIG_DOUBT_BYTES && !strstr(doubt, clause))
        (void)snprintf(doubt + size, CONFIG_DOUBT_BYTES - size, "%s%s", size ? "; " : "", clause);
}

void config_doubt_nulls(const json_t *root, const char *const *names, char *doubt)
{
    for (; *names; names++)
        if (json_is_null(json_object_get(root, *names)))
            config_doubt_set(doubt, "\"%s\" is null", *names);
}

int config_doubt_flag(const json_t *root, const char *name, int absent, char *doubt)
{
    const json_t *flag = json_object_get(root, name);
    if (config_doubt_is_there(flag) && !json_is_boolean(flag))
        config_doubt_set(doubt, "\"%s\" is neither true nor false", name);
    return flag ? json_is_true(flag) : absent;
}

void config_doubt_pair(const json_t *root, const char *own, const char *other, char *doubt)
{
    const json_t *first = json_object_get(root, own), *second = json_object_get(root, other);
    if (first && second && !json_equal(first, second))
        config_doubt_set(doubt, "\"%s\" is not %s", other, own);
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

void config_doubt_rename(json_t *root, const char *own, const char *other)
{
    json_t *value = json_object_get(root, own);
    (void)json_object_del(root, other);
    if (config_doubt_is_there(value))
        (void)json_object_set(root, other, value);
}

static int is_one_of(const char *name, const char *const *own)
{
    while (*own && strcmp(*own, name) != 0)
        own++;
    return *own != NULL;
}

void config_doubt_drop_others(json_t *root, const char *const *own)
{
    for (size_t i = 0; i < sizeof synonyms / sizeof synonyms[0]; i++)
        if (!is_one_of(synonyms[i], own))
            (void)json_object_del(root, synonyms[i]);
}
