#include "daemon/model/config.h"

#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/model/bloom_config.h"
#include "daemon/model/config_doubt.h"
#include "daemon/model/crystal_config.h"
#include "daemon/model/family.h"
#include "daemon/model/gpt2_config.h"
#include "daemon/model/hf_olmo_config.h"
#include "daemon/model/llama_config.h"
#include "daemon/model/modernbert_config.h"
#include "daemon/model/neox_config.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum model_activation activation;
    const char *names[3];
} activations[] = {
#define X(symbol, first, second, third) {symbol, {first, second, third}},
    MODEL_ACTIVATIONS(X)
#undef X
};

/* The first of the names (separated by 0, ended by an empty one) that is there and not null, or the first. */
static const char *said(const json_t *root, const char *names)
{
    for (const char *name = names; *name; name += strlen(name) + 1)
        if (config_doubt_is_there(json_object_get(root, name)))
            return name;
    return names;
}

static const json_t *get(const json_t *root, const char *names)
{
    const json_t *value = json_object_get(root, said(root, names));
    return json_is_null(value) ? NULL : value;
}

static int read_size(const json_t *root, const char *names, uint64_t absent, uint64_t *ret_size,
                     struct err *err)
{
    const json_t *value = get(root, names);
    if (!value) {
        *ret_size = absent;
        return 0;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > MODEL_CONFIG_DIMENSION_MAX)
        return err_set(err, ERR_FORMAT, "\"%s\" is not a size", said(root, names));
    *ret_size = (uint64_t)json_integer_value(value);
    return 0;
}

static int read_real(const json_t *root, const char *names, double absent, double *ret_real, struct err *err)
{
    const json_t *value = get(root, names);
    if (value && !json_is_number(value))
        return err_set(err, ERR_FORMAT, "\"%s\" is not a number", said(root, names));
    *ret_real = value ? json_number_value(value) : absent;
    return 0;
}

static int read_flag(const json_t *root, const char *names, int absent, int *ret_flag, struct err *err)
{
    const json_t *value = get(root, names);
    if (value && !json_is_boolean(value))
        return err_set(err, ERR_FORMAT, "\"%s\" is neither true nor false", said(root, names));
    *ret_flag = value ? json_is_true(value) : absent;
    return 0;
}

static int read_text(const json_t *root, const char *names, const char *absent, char *text, size_t size,
                     struct err *err)
{
    const json_t *value = get(root, names);
    if (value && !json_is_string(value))
        return err_set(err, ERR_FORMAT, "\"%s\" is not a string", said(root, names));
    const char *found = value ? json_string_value(value) : absent;
    if (strlen(found) >= size)
        return err_set(err, ERR_LIMIT, "\"%s\" is longer than %zu bytes", said(root, names), size - 1);
    memcpy(text, found, strlen(found) + 1);
    return 0;
}

/* A token's id; some models list several ends, of which the first counts. */
static int read_token(const json_t *root, const char *name, int64_t *ret_token, struct err *err)
{
    const json_t *value = json_object_get(root, name);
    if (json_is_array(value))
        value = json_array_get(value, 0);
    *ret_token = -1;
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_integer(value))
        return err_set(err, ERR_FORMAT, "\"%s\" is not a token id", name);
    *ret_token = json_integer_value(value);
    return 0;
}

/* What is left out may be the class's own number, and null the number of heads. */
static int read_key_value_heads(const json_t *root, const struct family *family, struct model_config *config,
                                struct err *err)
{
    int is_said = json_object_get(root, "num_key_value_heads") != NULL;
    uint64_t absent =
        is_said || !family->key_value_head_count ? config->head_count : family->key_value_head_count;
    return read_size(root, "num_key_value_heads\0", absent, &config->key_value_head_count, err);
}

int model_config_is(const struct model_config *config, const char *model_type)
{
    return strcmp(config->model_type, model_type) == 0;
}

static int read_sizes(const json_t *root, const struct family *family, struct model_config *config,
                      struct err *err)
{
    if (read_size(root, "vocab_size\0", 0, &config->vocab_size, err) ||
        read_size(root, "hidden_size\0n_embd\0d_model\0", 0, &config->hidden_size, err) ||
        read_size(root, "num_hidden_layers\0n_layer\0n_layers\0", 0, &config->layer_count, err) ||
        read_size(root, "num_attention_heads\0n_head\0n_heads\0", 0, &config->head_count, err) ||
        read_key_value_heads(root, family, config, err) ||
        read_size(root, "intermediate_size\0n_inner\0ffn_dim\0",
                  family->is_llama ? 0 : 4 * config->hidden_size, &config->intermediate_size, err) ||
        read_size(root, "max_position_embeddings\0n_positions\0max_sequence_length\0",
                  model_config_is(config, "bloom") ? BLOOM_POSITIONS : 0, &config->max_positions, err))
        return err->code;
    return 0;
}

/* An object, or not there. */
static int read_object(const json_t *root, const char *name, const json_t **ret_object, struct err *err)
{
    const json_t *value = get(root, name);
    if (value && !json_is_object(value))
        return err_set(err, ERR_FORMAT, "\"%s\" is not an object", name);
    *ret_object = json_object_size(value) ? value : NULL;
    return 0;
}

/* Three spellings: rope_parameters of today, rope_scaling, which counts before it, and GPT-NeoX's own. */
static int read_rotary(const json_t *root, const struct family *family, struct model_config *config,
                       struct err *err)
{
    const json_t *parameters = NULL, *scaling = NULL;
    if (read_object(root, "rope_parameters\0", &parameters, err) ||
        read_object(root, "rope_scaling\0", &scaling, err) ||
        read_real(root, "rotary_pct\0partial_rotary_factor\0", family->rotary_fraction,
                  &config->rotary_fraction, err) ||
        read_real(root, "rotary_emb_base\0rope_theta\0", family->rotary_base, &config->rotary_base, err))
        return err->code;
    const json_t *inner = scaling ? scaling : parameters;
    if (read_real(inner, "partial_rotary_factor\0", config->rotary_fraction, &config->rotary_fraction, err) ||
        read_real(inner, "rope_theta\0", config->rotary_base, &config->rotary_base, err) ||
        read_text(inner, "rope_type\0type\0", "default", config->rotary_type, sizeof config->rotary_type,
                  err))
        return err_wrap(err, scaling ? "rope_scaling" : "rope_parameters");
    return 0;
}

static enum model_activation activation_of(const char *name)
{
    for (size_t i = 0; *name && i < sizeof activations / sizeof activations[0]; i++)
        for (size_t j = 0; j < 3; j++)
            if (strcmp(activations[i].names[j], name) == 0)
                return activations[i].activation;
    return MODEL_ACTIVATION_OTHER;
}

static int read_activation(const json_t *root, const struct family *family, struct model_config *config,
                           struct err *err)
{
    int code = read_text(root, "hidden_act\0activation_function\0", family->activation,
                         config->activation_name, sizeof config->activation_name, err);
    char head[sizeof config->activation_name] = "gelu";
    if (!code && model_config_is(config, "modernbert-decoder"))
        code = read_text(root, "classifier_activation\0", head, head, sizeof head, err);
    config->head_activation = activation_of(head);
    config->activation = code ? MODEL_ACTIVATION_OTHER : activation_of(config->activation_name);
    return code;
}

static int read_config(json_t *root, struct model_config *config, struct err *err)
{
    const json_t *architecture = json_array_get(json_object_get(root, "architectures"), 0);
    int code = read_text(root, "model_type\0", "", config->model_type, sizeof config->model_type, err);
    if (code)
        return code;
    if (hf_olmo_config_is_older(root))
        (void)snprintf(config->model_type, sizeof config->model_type, "hf_olmo");
    const struct family *family = family_find(config->model_type);
    if (model_config_is(config, "gpt_neox"))
        neox_config_prepare(root, config->doubt);
    else if (model_config_is(config, "gpt2"))
        gpt2_config_prepare(root, config);
    else if (model_config_is(config, "crystalcoder"))
        crystal_config_prepare(root, config);
    else if (model_config_is(config, "bloom"))
        bloom_config_prepare(root, config);
    else if (model_config_is(config, "modernbert-decoder"))
        modernbert_config_prepare(root, config);
    else if (model_config_is(config, "hf_olmo"))
        hf_olmo_config_prepare(root, config);
    else if (family->is_llama)
        llama_config_prepare(root, family, config);
    if (json_is_string(architecture) && strlen(json_string_value(architecture)) < MODEL_CONFIG_NAME_BYTES)
        memcpy(config->architecture, json_string_value(architecture),
               strlen(json_string_value(architecture)) + 1);
    const char *tokenizer = json_string_value(json_object_get(root, "tokenizer_class"));
    (void)snprintf(config->tokenizer_class, sizeof config->tokenizer_class, "%s", tokenizer ? tokenizer : "");
    if (read_sizes(root, family, config, err) || read_rotary(root, family, config, err) ||
        read_activation(root, family, config, err) ||
        read_flag(root, "use_parallel_residual\0", family->has_parallel_residual,
                  &config->has_parallel_residual, err) ||
        read_flag(root, "attention_bias\0", family->has_attention_bias, &config->has_attention_bias, err) ||
        read_flag(root, "mlp_bias\0", !family->is_llama, &config->has_mlp_bias, err) ||
        read_flag(root, "weight_tying\0tie_word_embeddings\0", family->is_tied, &config->is_tied, err) ||
        read_real(root, "layer_norm_eps\0rms_norm_eps\0layer_norm_epsilon\0", family->norm_epsilon,
                  &config->norm_epsilon, err) ||
        read_token(root, "bos_token_id", &config->bos_token_id, err) ||
        read_token(root, "eos_token_id", &config->eos_token_id, err))
        return err->code;
    return 0;
}

int model_config_parse(const char *json, size_t size, struct model_config *ret_config, struct err *err)
{
    struct model_config config = {0};
    int code;
    if (size > LIMIT_CONFIG_JSON_BYTES)
        return err_set(err, ERR_LIMIT, "config.json: %zu bytes exceed the limit of %zu", size,
                       LIMIT_CONFIG_JSON_BYTES);
    json_t *root = json_text_parse(json, size, JSON_REJECT_DUPLICATES, err);
    if (!root)
        return err_wrap(err, "config.json");
    const unsigned long refusals = json_text_refusals();
    if (!json_is_object(root))
        code = err_set(err, ERR_FORMAT, "config.json: not a JSON object");
    else if (read_config(root, &config, err))
        code = err_wrap(err, "config.json");
    else
        code = 0;
    /* Families put their own names for things into the object: one left out would be its default. */
    if (json_text_refusals() != refusals)
        code = err_set(err, ERR_NO_MEMORY, "config.json: out of memory");
    json_decref(root);
    if (!code)
        *ret_config = config;
    return code;
}
