#include "daemon/model/crystal_config.h"

#include "daemon/base/limits.h"
#include "daemon/model/config_doubt.h"
#include "daemon/model/gpt2_config.h"
#include "daemon/model/multipliers_config.h"

#include <string.h>

static const char *text_of(const json_t *root, const char *name, const char *absent)
{
    const json_t *value = json_object_get(root, name);
    const char *text = json_string_value(value);
    return !value ? absent : text ? text : "";
}

/* By either name; 0 where it is not there. */
static double size_of(const json_t *root, const char *name, const char *other)
{
    const json_t *value = json_object_get(root, name);
    return json_number_value(value ? value : json_object_get(root, other));
}

/* Null and 0 are all dimensions. */
static void read_rotary(const json_t *root, struct model_config *config)
{
    const json_t *dimensions = json_object_get(root, "rotary_dim");
    const json_int_t number = json_integer_value(dimensions);
    if (config_doubt_is_there(dimensions) &&
        (!json_is_integer(dimensions) || number < 0 || number % 2 || number > (json_int_t)LIMIT_SCORE_WIDTH))
        config_doubt_set(config->doubt, "\"rotary_dim\" is no even number of dimensions");
    else
        config->rotary_dimensions = (uint64_t)number;
    if (strcmp(text_of(root, "position_embedding_type", "rotary"), "rotary") != 0)
        config_doubt_set(config->doubt, "\"position_embedding_type\" is not rotary");
}

/* Scores are divided by the size of a head, or by its root. */
static void read_scale(const json_t *root, struct model_config *config)
{
    const double width = size_of(root, "n_embd", "hidden_size");
    const double heads = size_of(root, "n_head", "num_attention_heads");
    if (config_doubt_flag(root, "mup_scale_qk_dot_by_d", 0, config->doubt) &&
        !config->has_unscaled_attention && width > 0 && heads > 0)
        config->attention_multiplier = heads / width;
}

void crystal_config_prepare(json_t *root, struct model_config *config)
{
    const int is_gated = strcmp(text_of(root, "activation_function", "swiglu"), "swiglu") == 0;
    gpt2_config_prepare(root, config);
    if (!is_gated)
        config_doubt_set(config->doubt, "\"activation_function\" is not swiglu");
    (void)json_object_set_new(root, "activation_function", json_string("silu")); /* of the gate */
    read_rotary(root, config);
    read_scale(root, config);
    config->embedding_multiplier = multiplier_config_of(root, "mup_embeddings_scale", config->doubt);
    config->logit_multiplier =
        multiplier_config_not_zero(multiplier_config_of(root, "mup_output_alpha", config->doubt) *
                                   multiplier_config_of(root, "mup_width_scale", config->doubt));
}
