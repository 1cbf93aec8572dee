#include "daemon/model/llama_config.h"

#include "daemon/base/limits.h"
#include "daemon/model/baichuan_config.h"
#include "daemon/model/config_doubt.h"
#include "daemon/model/experts_config.h"
#include "daemon/model/multipliers_config.h"
#include "daemon/model/nemotron_config.h"
#include "daemon/model/opensci_config.h"
#include "daemon/model/pico_config.h"
#include "daemon/model/rotary_config.h"
#include "daemon/model/stablelm_config.h"

#include <string.h>

static const char *const own[] = {
    "num_key_value_heads",
    "intermediate_size",
    "hidden_act",
    "rms_norm_eps",
    "attention_bias",
    "mlp_bias",
    "partial_rotary_factor",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    NULL,
};

static const char *const never_null[] = {"tie_word_embeddings", "hidden_act", "rope_theta", NULL};

/* Keys that not all of the families have; the others pass over them. */
static const struct dialect {
    const char *model_type;
    int has_attention_bias, has_mlp_bias;
    uint64_t head_size; /* where "head_dim" is not there; 0: that follows from the other sizes */
    int has_no_epsilon; /* "rms_norm_eps" */
    int has_limit;      /* "clip_qkv" */
    int has_window, has_window_switch; /* "sliding_window"; and "use_sliding_window" */
    int has_unrotated_layers;          /* "no_rope_layers" */
    int is_head_dim_null;              /* which means that it is not said */
    int is_heads_null;                 /* the same of "num_key_value_heads" */
    struct rotary_rules rotary;
} dialects[] = {
    {.model_type = "llama",
     .has_attention_bias = 1,
     .has_mlp_bias = 1,
     .is_head_dim_null = 1,
     .is_heads_null = 1},
    {.model_type = "mistral", .has_window = 1, .is_head_dim_null = 1},
    {.model_type = "qwen2", .has_window = 1, .has_window_switch = 1, .is_heads_null = 1},
    {.model_type = "qwen3",
     .has_attention_bias = 1,
     .head_size = 128,
     .has_window = 1,
     .has_window_switch = 1,
     .is_heads_null = 1},
    {.model_type = "smollm3",
     .has_attention_bias = 1,
     .has_mlp_bias = 1,
     .has_window = 1,
     .has_window_switch = 1,
     .has_unrotated_layers = 1,
     .is_heads_null = 1},
    {.model_type = "olmo",
     .has_attention_bias = 1,
     .has_no_epsilon = 1,
     .has_limit = 1,
     .is_heads_null = 1,
     .rotary.has_strict_scaling = 1},
    {.model_type = "olmo2", .has_attention_bias = 1, .is_heads_null = 1, .rotary.has_strict_scaling = 1},
    {.model_type = "olmo3",
     .has_attention_bias = 1,
     .has_window = 1,
     .rotary.has_each_kind = 1,
     .is_heads_null = 1},
    {.model_type = "olmoe", .has_attention_bias = 1, .has_limit = 1, .is_heads_null = 1},
    {.model_type = "apertus", .has_attention_bias = 1, .is_heads_null = 1, .rotary.has_default_scaling = 1},
    {.model_type = "granite", .has_attention_bias = 1, .has_mlp_bias = 1, .is_heads_null = 1},
    {.model_type = "minicpm", .has_attention_bias = 1, .is_head_dim_null = 1, .is_heads_null = 1},
    {.model_type = "gemma", .has_attention_bias = 1, .head_size = 256},
    {.model_type = "opensci",
     .has_attention_bias = 1,
     .has_mlp_bias = 1,
     .is_head_dim_null = 1,
     .is_heads_null = 1,
     .rotary.lacks_parameters = 1},
    {.model_type = "kormo", .head_size = 128, .is_heads_null = 1, .rotary.lacks_parameters = 1},
    {.model_type = "nemotron",
     .has_attention_bias = 1,
     .has_mlp_bias = 1,
     .is_head_dim_null = 1,
     .rotary = {.is_partial = 1, .lacks_scaling = 1}},
    {.model_type = "stablelm",
     .has_attention_bias = 1,
     .is_head_dim_null = 1,
     .rotary = {.is_partial = 1, .lacks_scaling = 1}},
    {.model_type = "baichuan", .is_head_dim_null = 1, .is_heads_null = 1},
    {.model_type = "pico_decoder"},
    {.model_type = "dots1", .has_attention_bias = 1, .is_heads_null = 1},
    {.model_type = "qwen3_moe", .has_attention_bias = 1, .has_window = 1, .has_window_switch = 1},
};

#define DIALECT_COUNT (sizeof dialects / sizeof dialects[0])

struct reading {
    json_t *root;
    const struct family *family;
    const struct dialect *dialect;
    struct model_config *config;
    uint64_t layer_count; /* 0 where it is no number of layers, which is told later */
};

static const json_t *value_of(const struct reading *reading, const char *name)
{
    return json_object_get(reading->root, name);
}

static void doubt(const struct reading *reading, const char *name, const char *what)
{
    config_doubt_set(reading->config->doubt, "\"%s\" %s", name, what);
}

/* Drops a key that the family passes over, or refuses null. */
static void take_flag(const struct reading *reading, int has, const char *name)
{
    if (!has)
        (void)json_object_del(reading->root, name);
    else if (json_is_null(value_of(reading, name)))
        doubt(reading, name, "is null");
}

static void read_heads(const struct reading *reading)
{
    const json_t *head_size = value_of(reading, "head_dim");
    reading->config->head_size = reading->dialect->head_size;
    if (json_is_integer(head_size) && json_integer_value(head_size) > 0 &&
        json_integer_value(head_size) <= (json_int_t)LIMIT_SCORE_WIDTH)
        reading->config->head_size = (uint64_t)json_integer_value(head_size);
    else if (head_size && !(json_is_null(head_size) && reading->dialect->is_head_dim_null))
        doubt(reading, "head_dim", json_is_null(head_size) ? "is null" : "is no size");
    if (json_is_null(value_of(reading, "num_key_value_heads")) && !reading->dialect->is_heads_null)
        doubt(reading, "num_key_value_heads", "is null");
}

static void read_limit(const struct reading *reading)
{
    const json_t *limit = value_of(reading, "clip_qkv");
    if (!config_doubt_is_there(limit))
        return;
    reading->config->qkv_limit = json_real_value(limit); /* version 5 takes no integer */
    if (!(reading->config->qkv_limit > 0))
        doubt(reading, "clip_qkv", "is no positive number such as 8.0");
}

/* -- Layers that are not like the others ------------------------------------------------------------ */

static void leave_unrotated(const struct reading *reading, uint64_t layer)
{
    reading->config->unrotated_layers[layer / 8] |= (uint8_t)(1U << layer % 8);
}

static void read_interval(const struct reading *reading)
{
    const json_t *interval = value_of(reading, "no_rope_layer_interval");
    json_int_t every = interval ? json_integer_value(interval) : 4; /* as the class has it */
    if (every < 1) {
        doubt(reading, "no_rope_layer_interval", "is no number of layers");
        return;
    }
    for (uint64_t layer = 0; layer < reading->layer_count; layer++)
        if ((layer + 1) % (uint64_t)every == 0)
            leave_unrotated(reading, layer);
}

static void read_unrotated(const struct reading *reading)
{
    const json_t *layers = value_of(reading, "no_rope_layers");
    if (!config_doubt_is_there(layers)) {
        read_interval(reading);
        return;
    }
    if (json_array_size(layers) < reading->layer_count)
        doubt(reading, "no_rope_layers", "is no list of all layers");
    for (uint64_t layer = 0; layer < reading->layer_count && layer < json_array_size(layers); layer++) {
        const json_t *is_rotated = json_array_get(layers, (size_t)layer);
        json_int_t number = json_is_integer(is_rotated) ? json_integer_value(is_rotated) : -1;
        if (number != 0 && number != 1)
            doubt(reading, "no_rope_layers", "holds something else than 0 and 1");
        else if (!number)
            leave_unrotated(reading, layer);
    }
}

/* Whether some layer has a sliding window, as "layer_types" says. */
static int read_layer_types(const struct reading *reading, const json_t *types)
{
    size_t sliding = 0, full = 0;
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        sliding += type && strcmp(type, "sliding_attention") == 0;
        full += type && strcmp(type, "full_attention") == 0;
    }
    if (sliding + full != json_array_size(types) || sliding + full != reading->layer_count)
        doubt(reading, "layer_types", "is no list of full and sliding layers, one for each");
    return sliding > 0;
}

/* Whether a layer has the window, where "layer_types" does not say it. */
static int has_window(const struct reading *reading, uint64_t layer)
{
    const json_t *first = value_of(reading, "max_window_layers");
    if (reading->dialect->rotary.has_each_kind)
        return (layer + 1) % 4 != 0; /* as the class has it */
    if (!reading->dialect->has_window_switch || experts_config_has(reading->family))
        return 1;
    if (reading->dialect->has_unrotated_layers)
        return reading->config->unrotated_layers[layer / 8] >> layer % 8 & 1;
    if (first && !json_is_integer(first))
        doubt(reading, "max_window_layers", "is no number of layers");
    return (first ? json_integer_value(first) : 28) <= (json_int_t)layer;
}

static int is_sliding(const json_t *types, uint64_t layer)
{
    const char *type = json_string_value(json_array_get(types, (size_t)layer));
    return type && strcmp(type, "sliding_attention") == 0;
}

/* In which layers the rotary embeddings are as they were. */
static void read_unscaled(const struct reading *reading)
{
    const json_t *types = value_of(reading, "layer_types");
    for (uint64_t layer = 0; layer < reading->layer_count; layer++)
        if (json_is_array(types) ? is_sliding(types, layer) : has_window(reading, layer))
            reading->config->unscaled_layers[layer / 8] |= (uint8_t)(1U << layer % 8);
}

static void read_window(const struct reading *reading)
{
    const json_t *window = value_of(reading, "sliding_window"), *types = value_of(reading, "layer_types");
    json_int_t tokens = window ? json_integer_value(window) : reading->family->sliding_window;
    int is_on = !reading->dialect->has_window_switch || json_is_true(value_of(reading, "use_sliding_window"));
    is_on = is_on && (window ? !json_is_null(window) : tokens > 0);
    take_flag(reading, reading->dialect->has_window_switch, "use_sliding_window");
    if (is_on && tokens < 1)
        doubt(reading, "sliding_window", "is no number of tokens");
    const int knows_types = reading->dialect->rotary.has_each_kind ||
                            (reading->dialect->has_window_switch && !experts_config_has(reading->family));
    if (types && !knows_types)
        doubt(reading, "layer_types", "is there, of which not all versions know");
    else if (config_doubt_is_there(types) && read_layer_types(reading, types) && !is_on)
        doubt(reading, "layer_types", "names sliding layers, and no window is on");
    if (reading->dialect->rotary.has_each_kind && !is_on)
        doubt(reading, "sliding_window", "is null");
    for (uint64_t layer = 0; is_on && tokens > 0 && layer < reading->layer_count; layer++)
        if (json_is_array(types) ? is_sliding(types, layer) : has_window(reading, layer)) {
            reading->config->sliding_window = (uint64_t)tokens;
            reading->config->sliding_layers[layer / 8] |= (uint8_t)(1U << layer % 8);
        }
}

void llama_config_prepare(json_t *root, const struct family *family, struct model_config *config)
{
    struct reading reading = {.root = root, .family = family, .dialect = dialects, .config = config};
    while (strcmp(reading.dialect->model_type, family->model_type) != 0 &&
           reading.dialect < dialects + DIALECT_COUNT - 1)
        reading.dialect++;
    pico_config_prepare(root, family, config);
    json_int_t layers = json_integer_value(value_of(&reading, "num_hidden_layers"));
    if (layers > 0 && layers <= LIMIT_SCORE_LAYERS)
        reading.layer_count = (uint64_t)layers;
    stablelm_config_prepare(root, family, config);
    nemotron_config_prepare(root, family, config);
    opensci_config_prepare(root, family, config);
    read_heads(&reading);
    take_flag(&reading, reading.dialect->has_attention_bias, "attention_bias");
    take_flag(&reading, reading.dialect->has_mlp_bias, "mlp_bias");
    take_flag(&reading, !reading.dialect->has_no_epsilon, "rms_norm_eps");
    if (reading.dialect->has_limit)
        read_limit(&reading);
    multipliers_config_prepare(root, family, config);
    baichuan_config_prepare(root, family, config);
    experts_config_prepare(root, family, config);
    if (reading.dialect->has_unrotated_layers)
        read_unrotated(&reading);
    if (reading.dialect->has_window)
        read_window(&reading);
    if (reading.dialect->rotary.has_each_kind)
        read_unscaled(&reading);
    rotary_config_read(root, family, &reading.dialect->rotary, config);
    config_doubt_nulls(root, never_null, config->doubt);
    config_doubt_positions(root, config->doubt);
    config_doubt_foreign(root, config->doubt);
    config_doubt_drop_others(root, own);
}
