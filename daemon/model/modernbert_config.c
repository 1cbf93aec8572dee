#include "daemon/model/modernbert_config.h"

#include "daemon/base/limits.h"
#include "daemon/model/config_doubt.h"

#include <string.h>

#define LOCAL_ATTENTION 128 /* as the class has them */
#define GLOBAL_EVERY 3
#define GLOBAL_BASE 160000.0
#define LOCAL_BASE 10000.0 /* version 5's */

static const char *const own[] = {
    "intermediate_size", "hidden_act", "layer_norm_eps", "attention_bias", "mlp_bias", "rope_theta", NULL,
};

static const char *const never_null[] = {
    "tie_word_embeddings",
    "hidden_activation",
    "classifier_activation",
    "norm_eps",
    "local_attention",
    "norm_bias",
    "attention_bias",
    "mlp_bias",
    "classifier_bias",
    "decoder_bias",
    NULL,
};

static json_int_t integer_or(const json_t *root, const char *name, json_int_t absent)
{
    const json_t *value = json_object_get(root, name);
    return value ? json_integer_value(value) : absent;
}

static double number_or(const json_t *root, const char *name, double absent)
{
    const json_t *value = json_object_get(root, name);
    return value ? json_number_value(value) : absent;
}

static int differ(double a, double b)
{
    return a < b || a > b;
}

/* -- Layers with a window --------------------------------------------------------------------------- */

static void slide(struct model_config *config, uint64_t layer)
{
    config->sliding_layers[layer / 8] |= (uint8_t)(1U << layer % 8);
}

static void read_types(const json_t *types, uint64_t layers, struct model_config *config)
{
    if (json_array_size(types) != layers)
        config_doubt_set(config->doubt, "\"layer_types\" is no list of all layers");
    for (uint64_t layer = 0; layer < layers; layer++) {
        const char *type = json_string_value(json_array_get(types, (size_t)layer));
        if (type && strcmp(type, "sliding_attention") == 0)
            slide(config, layer);
        else if (!type || strcmp(type, "full_attention") != 0)
            config_doubt_set(config->doubt, "\"layer_types\" names something else than full and sliding");
    }
}

static void read_windows(const json_t *root, struct model_config *config)
{
    const json_t *types = json_object_get(root, "layer_types");
    const json_int_t count = integer_or(root, "num_hidden_layers", 0);
    const uint64_t layers = count > 0 && count <= LIMIT_SCORE_LAYERS ? (uint64_t)count : 0;
    const json_int_t every = integer_or(root, "global_attn_every_n_layers", GLOBAL_EVERY);
    const json_int_t tokens = integer_or(root, "local_attention", LOCAL_ATTENTION) / 2;
    if (tokens < 1)
        config_doubt_set(config->doubt, "\"local_attention\" is no number of tokens, from 2 on");
    else
        config->sliding_window = (uint64_t)tokens;
    /* Saved beside it, and version 5 prefers it. */
    if (json_object_get(root, "sliding_window") && integer_or(root, "sliding_window", 0) != tokens)
        config_doubt_set(config->doubt, "\"sliding_window\" is not half of \"local_attention\"");
    if (config_doubt_is_there(types)) {
        read_types(types, layers, config);
        return;
    }
    if (every < 1)
        config_doubt_set(config->doubt, "\"global_attn_every_n_layers\" is no number of layers");
    for (uint64_t layer = 0; every > 0 && layer < layers; layer++)
        if (layer % (uint64_t)every != 0)
            slide(config, layer);
}

/* -- Rotary embeddings ------------------------------------------------------------------------------ */

/* The base that an object of rope_parameters names, or 0 for anything else than a plain one with a base. */
static double plain_base(const json_t *rope)
{
    const char *type = json_string_value(json_object_get(rope, "rope_type"));
    const int is_plain = json_object_size(rope) == 2 && type && strcmp(type, "default") == 0;
    return is_plain ? number_or(rope, "rope_theta", 0) : 0;
}

/* As version 5 writes it: an object for each kind of layer. */
static double read_kinds(const json_t *parent, struct model_config *config)
{
    const json_t *parameters = json_object_get(parent, "rope_parameters");
    const double full = plain_base(json_object_get(parameters, "full_attention"));
    const double sliding = plain_base(json_object_get(parameters, "sliding_attention"));
    if (json_object_size(parameters) != 2 || !(full > 0) || !(sliding > 0))
        config_doubt_set(config->doubt, "\"rope_parameters\" has no plain base for each kind of layer");
    /* Version 4 reads the older key, version 5 these. */
    const double older = number_or(parent, "global_rope_theta", full);
    if (differ(older, full) || (json_object_get(parent, "global_rope_theta") && differ(older, sliding)))
        config_doubt_set(config->doubt, "\"global_rope_theta\" is not what \"rope_parameters\" says");
    config->unscaled_rotary_base = sliding;
    memcpy(config->unscaled_layers, config->sliding_layers, sizeof config->unscaled_layers);
    return full;
}

static void read_bases(json_t *root, struct model_config *config)
{
    const json_t *parameters = json_object_get(root, "rope_parameters");
    double base = number_or(root, "global_rope_theta", GLOBAL_BASE);
    if (config_doubt_is_there(parameters))
        base = read_kinds(root, config);
    /* Version 4 reads the global base alone, and rotates all layers by that. */
    else if (differ(number_or(root, "local_rope_theta", LOCAL_BASE), base))
        config_doubt_set(config->doubt, "\"local_rope_theta\" is not \"global_rope_theta\"");
    if (config_doubt_is_there(json_object_get(root, "rope_scaling")))
        config_doubt_set(config->doubt, "\"rope_scaling\" is there");
    if (json_object_get(root, "partial_rotary_factor"))
        config_doubt_set(config->doubt, "\"partial_rotary_factor\" is there");
    if (json_object_get(root, "head_dim"))
        config_doubt_set(config->doubt, "\"head_dim\" is there");
    (void)json_object_del(root, "rope_parameters");
    (void)json_object_set_new(root, "rope_theta", json_real(base));
}

/* -- All -------------------------------------------------------------------------------------------- */

static void rename_key(json_t *root, const char *from, const char *to)
{
    json_t *value = json_object_get(root, from);
    if (value)
        (void)json_object_set(root, to, value);
    else
        (void)json_object_del(root, to);
}

void modernbert_config_prepare(json_t *root, struct model_config *config)
{
    char *doubt = config->doubt;
    config_doubt_nulls(root, never_null, doubt);
    config->lacks_norm_bias = !config_doubt_flag(root, "norm_bias", 0, doubt);
    config->has_head_bias = config_doubt_flag(root, "classifier_bias", 0, doubt);
    config->has_unembedding_bias = config_doubt_flag(root, "decoder_bias", 1, doubt);
    (void)json_object_set_new(root, "attention_bias",
                              json_boolean(config_doubt_flag(root, "attention_bias", 0, doubt)));
    (void)json_object_set_new(root, "mlp_bias", json_boolean(config_doubt_flag(root, "mlp_bias", 0, doubt)));
    rename_key(root, "hidden_activation", "hidden_act");
    rename_key(root, "norm_eps", "layer_norm_eps");
    if (!config_doubt_is_there(json_object_get(root, "intermediate_size")))
        (void)json_object_set_new(root, "intermediate_size", json_integer(0)); /* else four times the width */
    read_windows(root, config);
    read_bases(root, config);
    config_doubt_positions(root, doubt);
    config_doubt_foreign(root, doubt);
    config_doubt_drop_others(root, own);
}
