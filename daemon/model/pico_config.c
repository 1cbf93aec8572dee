#include "daemon/model/pico_config.h"

#include "daemon/model/config_doubt.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *own, *llama;
} keys[] = {
    {"d_model", "hidden_size"},
    {"n_layers", "num_hidden_layers"},
    {"attention_n_heads", "num_attention_heads"},
    {"attention_n_kv_heads", "num_key_value_heads"},
    {"activation_hidden_dim", "intermediate_size"},
    {"max_seq_len", "max_position_embeddings"},
    {"norm_eps", "rms_norm_eps"},
    {"position_emb_theta", "rope_theta"},
};

/* What other classes make of a file, and this one does not. */
static const char *const passed_over[] = {
    "n_embd",         "n_layer",      "n_head",         "n_heads",
    "n_positions",    "n_inner",      "head_dim",       "hidden_act",
    "attention_bias", "mlp_bias",     "rope_scaling",   "rope_parameters",
    "pruned_heads",   "weight_tying", "layer_norm_eps", "partial_rotary_factor",
};

void pico_config_prepare(json_t *root, const struct family *family, struct model_config *config)
{
    const char *class = json_string_value(json_array_get(json_object_get(root, "architectures"), 0));
    if (strcmp(family->model_type, "pico_decoder") != 0)
        return;
    if (class && strcmp(class, "PicoDecoderHF") != 0)
        config_doubt_set(config->doubt, "\"architectures\" is not PicoDecoderHF");
    for (size_t i = 0; i < sizeof passed_over / sizeof passed_over[0]; i++)
        (void)json_object_del(root, passed_over[i]);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *value = json_object_get(root, keys[i].own);
        (void)json_object_del(root, keys[i].llama);
        if (config_doubt_is_there(value))
            (void)json_object_set(root, keys[i].llama, value);
        else
            config_doubt_set(config->doubt, "\"%s\" is not there", keys[i].own);
    }
    (void)json_object_set_new(root, "tie_word_embeddings", json_false()); /* whatever it says */
}
