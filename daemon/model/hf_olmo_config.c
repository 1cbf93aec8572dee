#include "daemon/model/hf_olmo_config.h"

#include "daemon/model/config_doubt.h"

#include <string.h>

#define SIZE_MAX_HERE (1 << 24) /* so that the product of two fits */

static const char *const own[] = {
    "d_model",      "n_heads",    "n_layers",       "max_sequence_length",
    "weight_tying", "rope_theta", "layer_norm_eps", NULL,
};

/* The names that most families have for the same things. */
static const char *const common[] = {
    "hidden_size",         "num_hidden_layers", "num_attention_heads", "max_position_embeddings",
    "tie_word_embeddings",
};

static const struct {
    const char *name;
    int number;
} sizes[] = {
    {"d_model", 768},      {"n_heads", 12},           {"n_layers", 12},
    {"vocab_size", 50257}, {"embedding_size", 50304}, {"max_sequence_length", 1024},
    {"mlp_ratio", 4},
};

static const struct {
    const char *name, *word;
} words[] = {
    {"activation_type", "swiglu"},
    {"block_type", "sequential"},
    {"layer_norm_type", "default"},
};

/* Of these the class has others, too: they are not computed here. */
static const struct {
    const char *name;
    int absent, wanted;
} flags[] = {
    {"rope", 0, 1},
    {"alibi", 0, 0},
    {"norm_after", 0, 0},
    {"attention_layer_norm", 0, 0},
    {"embedding_layer_norm", 0, 0},
    {"scale_logits", 0, 0},
};

static const char *const never_null[] = {
    "d_model",
    "n_heads",
    "n_layers",
    "vocab_size",
    "max_sequence_length",
    "activation_type",
    "block_type",
    "layer_norm_type",
    "weight_tying",
    "layer_norm_eps",
    "rope_theta",
    "mlp_ratio",
    NULL,
};

static void fill_in(json_t *root)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (!json_object_get(root, sizes[i].name))
            (void)json_object_set_new(root, sizes[i].name, json_integer(sizes[i].number));
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!json_object_get(root, words[i].name))
            (void)json_object_set_new(root, words[i].name, json_string(words[i].word));
}

/* A number from 0 on, or 0 with a doubt. */
static json_int_t size_of(const json_t *root, const char *name, char *doubt)
{
    const json_t *value = json_object_get(root, name);
    const json_int_t size = json_integer_value(value);
    if (json_is_integer(value) && size >= 0 && size <= SIZE_MAX_HERE)
        return size;
    config_doubt_set(doubt, "\"%s\" is no size", name);
    return 0;
}

/* One matrix has what goes up and the gate: the width that the class means is that of both. */
static void read_mlp(json_t *root, char *doubt)
{
    const int is_said = config_doubt_is_there(json_object_get(root, "mlp_hidden_size"));
    const char *name = is_said ? "mlp_hidden_size" : "mlp_ratio";
    const json_int_t both =
        is_said ? size_of(root, name, doubt) : size_of(root, name, doubt) * size_of(root, "d_model", doubt);
    if (both % 2)
        config_doubt_set(doubt, "\"%s\" makes a width of the MLP that has no half", name);
    (void)json_object_set_new(root, "intermediate_size", json_integer(both / 2));
}

/* The older flag says nothing, or the same. */
static void read_heads(json_t *root, char *doubt)
{
    const json_int_t all = size_of(root, "n_heads", doubt);
    const json_t *flag = json_object_get(root, "multi_query_attention");
    const int is_flag = config_doubt_is_there(flag);
    const json_int_t by_flag = config_doubt_flag(root, "multi_query_attention", 0, doubt) ? 1 : all;
    const int is_said = config_doubt_is_there(json_object_get(root, "n_kv_heads"));
    const json_int_t said = is_said ? size_of(root, "n_kv_heads", doubt) : by_flag;
    if (is_said && is_flag && said != by_flag)
        config_doubt_set(doubt, "\"multi_query_attention\" says otherwise than n_kv_heads");
    (void)json_object_set_new(root, "num_key_value_heads", json_integer(said));
}

static void read_rows(json_t *root, char *doubt)
{
    json_t *rows = json_object_get(root, "embedding_size");
    if (!config_doubt_is_there(rows))
        return;
    if (size_of(root, "embedding_size", doubt) < size_of(root, "vocab_size", doubt))
        config_doubt_set(doubt, "\"embedding_size\" is less than vocab_size");
    (void)json_object_set(root, "vocab_size", rows);
}

static int is_word(const json_t *root, const char *name, const char *word)
{
    const char *value = json_string_value(json_object_get(root, name));
    return value && strcmp(value, word) == 0;
}

static void read_norms(const json_t *root, struct model_config *config, int has_bias)
{
    char *doubt = config->doubt;
    config->has_rms_norm = is_word(root, "layer_norm_type", "rms");
    if (!config->has_rms_norm && !is_word(root, "layer_norm_type", "default") &&
        !is_word(root, "layer_norm_type", "low_precision")) /* which counts in 16 bits alone */
        config_doubt_set(doubt, "\"layer_norm_type\" is none of default, low_precision and rms");
    const int has_weight = config_doubt_flag(root, "layer_norm_with_affine", 1, doubt);
    const int is_said = config_doubt_is_there(json_object_get(root, "bias_for_layer_norm"));
    const int has_norm_bias =
        has_weight && (is_said ? config_doubt_flag(root, "bias_for_layer_norm", 0, doubt) : has_bias);
    config->lacks_norm_weight = !has_weight;
    config->lacks_norm_bias = !has_norm_bias;
    if (config->has_rms_norm && has_norm_bias)
        config_doubt_set(doubt, "\"layer_norm_type\" is rms, and the norms have a bias");
}

static void read_limit(const json_t *root, struct model_config *config)
{
    const json_t *limit = json_object_get(root, "clip_qkv");
    if (!config_doubt_is_there(limit))
        return;
    config->qkv_limit = json_number_value(limit);
    if (!(config->qkv_limit > 0))
        config_doubt_set(config->doubt, "\"clip_qkv\" is no positive number");
}

static void read_kind(const json_t *root, char *doubt)
{
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (config_doubt_flag(root, flags[i].name, flags[i].absent, doubt) != flags[i].wanted)
            config_doubt_set(doubt, "\"%s\" is %s", flags[i].name, flags[i].wanted ? "not true" : "true");
    if (!is_word(root, "activation_type", "swiglu"))
        config_doubt_set(doubt, "\"activation_type\" is not swiglu");
    if (!is_word(root, "block_type", "sequential"))
        config_doubt_set(doubt, "\"block_type\" is not sequential");
    const json_t *group = json_object_get(root, "block_group_size");
    if (group && !(json_is_integer(group) && json_integer_value(group) == 1))
        config_doubt_set(doubt, "\"block_group_size\" is not 1, which gives the layers other names");
}

int hf_olmo_config_is_older(const json_t *root)
{
    return is_word(root, "model_type", "olmo") && json_object_get(root, "d_model") &&
           !json_object_get(root, "hidden_size");
}

void hf_olmo_config_prepare(json_t *root, struct model_config *config)
{
    char *doubt = config->doubt;
    config_doubt_drop_others(root, own);
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        (void)json_object_del(root, common[i]);
    fill_in(root);
    config_doubt_nulls(root, never_null, doubt);
    config_doubt_foreign(root, doubt);
    read_kind(root, doubt);
    const int has_bias = config_doubt_flag(root, "include_bias", 1, doubt);
    if (has_bias && !config_doubt_flag(root, "weight_tying", 1, doubt))
        config_doubt_set(doubt, "\"include_bias\" gives the unembedding a bias");
    read_norms(root, config, has_bias);
    read_limit(root, config);
    read_mlp(root, doubt);
    read_heads(root, doubt);
    read_rows(root, doubt);
    (void)json_object_set_new(root, "attention_bias", json_boolean(has_bias));
    (void)json_object_set_new(root, "mlp_bias", json_boolean(has_bias));
    (void)json_object_set_new(root, "hidden_act", json_string("silu"));
}
