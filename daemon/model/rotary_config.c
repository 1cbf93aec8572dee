#include "daemon/model/rotary_config.h"

#include "daemon/model/config_doubt.h"

#include <math.h>
#include <string.h>

struct reading {
    json_t *root;
    const struct family *family;
    const struct rotary_rules *rules;
    struct model_config *config;
};

static const json_t *value_of(const struct reading *reading, const char *name)
{
    return json_object_get(reading->root, name);
}

static void doubt(const struct reading *reading, const char *name, const char *what)
{
    config_doubt_set(reading->config->doubt, "\"%s\" %s", name, what);
}

static double number_of(const struct reading *reading, const json_t *rope, const char *name)
{
    const json_t *value = json_object_get(rope, name);
    if (!json_is_number(value))
        doubt(reading, name, "of the rotary embeddings is no number");
    return json_number_value(value);
}

/* In rope_scaling it counts for version 5 alone. */
static void doubt_base(const struct reading *reading, const json_t *rope, int is_scaling)
{
    const json_t *inner = json_object_get(rope, "rope_theta"), *outer = value_of(reading, "rope_theta");
    if (!inner || (!outer && !is_scaling))
        return;
    double other = outer ? json_number_value(outer) : reading->family->rotary_base;
    double difference = json_number_value(inner) - other;
    if (!json_is_number(inner) || difference < 0 || difference > 0)
        doubt(reading, "rope_theta", "stands twice, or where not all versions look for it");
}

static void doubt_fraction(const struct reading *reading, const json_t *object)
{
    const json_t *fraction = json_object_get(object, "partial_rotary_factor");
    if (fraction && !reading->rules->is_partial &&
        !(json_is_number(fraction) && json_number_value(fraction) >= 1 && json_number_value(fraction) <= 1))
        doubt(reading, "partial_rotary_factor", "is not 1");
}

/* Of heads that are rotated in part, version 4 takes the fraction beside the rotary embeddings, version 5 the
 * one among them first. */
static void doubt_fractions(const struct reading *reading)
{
    const json_t *outer = value_of(reading, "partial_rotary_factor");
    const json_t *inner = json_object_get(value_of(reading, "rope_parameters"), "partial_rotary_factor");
    if (reading->rules->is_partial && outer && inner && !json_equal(outer, inner))
        doubt(reading, "partial_rotary_factor", "stands twice");
}

static int has_object(const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (json_is_object(value))
            return 1;
    }
    return 0;
}

static void read_original_positions(const struct reading *reading, const json_t *rope)
{
    const json_t *positions = json_object_get(rope, "original_max_position_embeddings");
    const json_t *outer = value_of(reading, "original_max_position_embeddings");
    if (json_is_integer(positions) && json_integer_value(positions) > 0)
        reading->config->rotary_original_positions = (uint64_t)json_integer_value(positions);
    else
        doubt(reading, "original_max_position_embeddings", "of the rotary embeddings is no length");
    if (outer && !json_equal(outer, positions))
        doubt(reading, "original_max_position_embeddings", "stands beside that of the rotary embeddings");
}

static void read_llama3(const struct reading *reading, const json_t *rope)
{
    reading->config->rotary_low_factor = number_of(reading, rope, "low_freq_factor");
    reading->config->rotary_high_factor = number_of(reading, rope, "high_freq_factor");
    read_original_positions(reading, rope);
}

static double number_or(const struct reading *reading, const json_t *rope, const char *name, double absent)
{
    return config_doubt_is_there(json_object_get(rope, name)) ? number_of(reading, rope, name) : absent;
}

/* As transformers has what is not said. */
static void read_yarn(const struct reading *reading, const json_t *rope)
{
    static const char *const others[] = {"truncate", "mscale", "mscale_all_dim"};
    struct model_config *config = reading->config;
    const double factor = config->rotary_factor;
    config->rotary_low_factor = number_or(reading, rope, "beta_slow", 1);
    config->rotary_high_factor = number_or(reading, rope, "beta_fast", 32);
    config->rotary_attention_factor =
        number_or(reading, rope, "attention_factor", factor > 1 ? 0.1 * log(factor) + 1 : 1);
    read_original_positions(reading, rope);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (config_doubt_is_there(json_object_get(rope, others[i])))
            doubt(reading, others[i], "of the rotary embeddings is there");
}

/* OLMo's and OLMo 2's class of version 4 takes two keys and no others. */
static int is_strict(const json_t *scaling)
{
    const json_t *factor = json_object_get(scaling, "factor");
    return json_object_size(scaling) == 2 && json_object_get(scaling, "type") && json_is_real(factor) &&
           json_real_value(factor) > 1;
}

/* Where the file has the old spelling, version 5 takes "rope_theta" for the full layers alone, and its own
 * base for the others. */
static void doubt_kinds(const struct reading *reading)
{
    const json_t *base = value_of(reading, "rope_theta");
    const double difference = json_number_value(base) - reading->family->rotary_base;
    if (!base || difference < 0 || difference > 0)
        doubt(reading, "rope_theta", "is not 500000");
    if (json_object_size(value_of(reading, "rope_parameters")) > 0)
        doubt(reading, "rope_parameters", "is there, of which not all versions know");
}

/* Whether it says of sliding layers what holds for full ones, too, but for how those are scaled. */
static void doubt_sliding(const struct reading *reading, const json_t *sliding, double base)
{
    const json_t *theta = json_object_get(sliding, "rope_theta"),
                 *named = json_object_get(sliding, "rope_type");
    const char *type = json_string_value(named ? named : json_object_get(sliding, "type"));
    const double difference = (theta ? json_number_value(theta) : reading->family->rotary_base) - base;
    if (difference < 0 || difference > 0)
        doubt(reading, "rope_theta", "differs from layer to layer");
    if (config_doubt_is_there(sliding) && (!type || strcmp(type, "default") != 0))
        doubt(reading, "sliding_attention", "of the rotary embeddings is not of type default");
    doubt_fraction(reading, sliding);
}

/* As version 5 writes it: an object for each kind of layer. That of full ones takes the place of both; 0
 * where the file is not so. */
static int take_kinds(const struct reading *reading)
{
    json_t *parameters = json_object_get(reading->root, "rope_parameters");
    json_t *full = json_object_get(parameters, "full_attention");
    json_t *sliding = json_object_get(parameters, "sliding_attention");
    if (!json_is_object(full) || (config_doubt_is_there(sliding) && !json_is_object(sliding)) ||
        json_object_size(parameters) != (sliding ? 2 : 1) ||
        config_doubt_is_there(value_of(reading, "rope_scaling")))
        return 0;
    json_t *theta = json_object_get(full, "rope_theta");
    theta = theta ? theta : json_object_get(reading->root, "rope_theta");
    doubt_sliding(reading, sliding, theta ? json_number_value(theta) : reading->family->rotary_base);
    if (theta)
        (void)json_object_set(full, "rope_theta", theta);
    (void)json_object_set(reading->root, "rope_parameters", full);
    (void)json_object_del(reading->root, "rope_theta");
    return 1;
}

static void read_all(const struct reading *reading)
{
    const int has_kinds = reading->rules->has_each_kind && take_kinds(reading);
    const json_t *scaling = value_of(reading, "rope_scaling");
    const json_t *parameters = value_of(reading, "rope_parameters");
    const json_t *rope = json_object_size(scaling) ? scaling : parameters;
    /* The last doubt is told: these come before what is wrong in any class. */
    if (reading->rules->lacks_parameters && config_doubt_is_there(parameters))
        doubt(reading, "rope_parameters", "is there, which the class passes over");
    if (reading->rules->lacks_scaling && config_doubt_is_there(scaling))
        doubt(reading, "rope_scaling", "is there");
    if (reading->rules->has_strict_scaling && json_is_object(scaling) && !is_strict(scaling))
        doubt(reading, "rope_scaling", "is not just a \"type\" and a \"factor\" above 1");
    if (json_is_object(scaling) && !json_object_get(scaling, "type") &&
        !json_object_get(scaling, "rope_type"))
        doubt(reading, "rope_scaling", "has no \"rope_type\"");
    if (reading->rules->has_default_scaling && json_object_size(rope) == 0)
        doubt(reading, "rope_scaling", "is not there, for which versions have defaults of their own");
    if (has_object(rope))
        doubt(reading, rope == scaling ? "rope_scaling" : "rope_parameters", "differs from layer to layer");
    doubt_base(reading, rope, rope == scaling);
    doubt_fraction(reading, reading->root);
    doubt_fraction(reading, rope);
    doubt_fractions(reading);
    const json_t *named = json_object_get(rope, "rope_type");
    const char *type = json_string_value(named ? named : json_object_get(rope, "type"));
    const int is_llama3 = type && strcmp(type, "llama3") == 0, is_yarn = type && strcmp(type, "yarn") == 0;
    if (is_llama3 || is_yarn || (type && strcmp(type, "linear") == 0))
        reading->config->rotary_factor = number_of(reading, rope, "factor");
    if (is_llama3)
        read_llama3(reading, rope);
    if (is_yarn)
        read_yarn(reading, rope);
    config_doubt_rotary_types(reading->root, reading->config->doubt);
    if (reading->rules->has_each_kind && !has_kinds)
        doubt_kinds(reading);
}

void rotary_config_read(json_t *root, const struct family *family, const struct rotary_rules *rules,
                        struct model_config *config)
{
    read_all(&(struct reading){.root = root, .family = family, .rules = rules, .config = config});
}
