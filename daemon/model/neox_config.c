#include "daemon/model/neox_config.h"

#include <stdio.h>
#include <string.h>

/* Names that other families have for the same things. */
static const char *const foreign[] = {
    "n_embd",
    "d_model",
    "n_layer",
    "n_layers",
    "n_head",
    "n_heads",
    "n_inner",
    "ffn_dim",
    "n_positions",
    "rms_norm_eps",
    "layer_norm_epsilon",
    "partial_rotary_factor",
    "rope_theta",
    "activation_function",
    "max_sequence_length",
    "num_key_value_heads",
    "weight_tying",
};

/* For null transformers 5 refuses these; 4 takes it for false, or fails in the middle. */
static const char *const never_null[] = {
    "use_parallel_residual", "attention_bias", "tie_word_embeddings", "hidden_act", "rotary_pct",
    "rotary_emb_base",       "layer_norm_eps",
};

static json_int_t integer_of(const json_t *root, const char *name)
{
    return json_integer_value(json_object_get(root, name));
}

static int is_there(const json_t *value)
{
    return value && !json_is_null(value);
}

/* Whether both spellings of the type of rotary embeddings are there, and differ: 4 and 5 prefer each another.
 */
static int has_two_types(const json_t *rope)
{
    const char *type = json_string_value(json_object_get(rope, "type"));
    const char *rope_type = json_string_value(json_object_get(rope, "rope_type"));
    return type && rope_type && strcmp(type, rope_type) != 0;
}

static void doubt_numbers(const json_t *root, char *doubt, size_t size)
{
    const json_t *head_size = json_object_get(root, "head_dim");
    const json_t *positions = json_object_get(root, "n_positions");
    json_int_t heads = integer_of(root, "num_attention_heads");
    /* The angles of the rotation are counted by head_dim, and what is rotated is not. */
    if (is_there(head_size) && heads > 0 &&
        (!json_is_integer(head_size) ||
         json_integer_value(head_size) != integer_of(root, "hidden_size") / heads))
        (void)snprintf(doubt, size, "\"head_dim\" is not hidden_size / num_attention_heads");
    /* lm-evaluation-harness takes it for the length of the context. */
    else if (is_there(positions) &&
             (!json_is_integer(positions) ||
              json_integer_value(positions) != integer_of(root, "max_position_embeddings")))
        (void)snprintf(doubt, size, "\"n_positions\" is not max_position_embeddings");
}

static void find_doubt(const json_t *root, char *doubt, size_t size)
{
    *doubt = '\0';
    doubt_numbers(root, doubt, size);
    for (size_t i = 0; i < sizeof never_null / sizeof never_null[0]; i++)
        if (json_is_null(json_object_get(root, never_null[i])))
            (void)snprintf(doubt, size, "\"%s\" is null", never_null[i]);
    if (has_two_types(json_object_get(root, "rope_scaling")) ||
        has_two_types(json_object_get(root, "rope_parameters")))
        (void)snprintf(doubt, size, "\"type\" and \"rope_type\" of the rotary embeddings differ");
    if (json_object_size(json_object_get(root, "pruned_heads")) > 0)
        (void)snprintf(doubt, size, "\"pruned_heads\" names heads");
    if (is_there(json_object_get(root, "quantization_config")))
        (void)snprintf(doubt, size, "\"quantization_config\" asks for rounded weights");
}

void neox_config_prepare(json_t *root, char *doubt, size_t size)
{
    find_doubt(root, doubt, size);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        (void)json_object_del(root, foreign[i]);
}
