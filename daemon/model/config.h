/*
 * A model's config.json: what its tensors mean.
 *
 * Statistics need little of it (whether embeddings are tied), scoring needs nearly all; so reading it is
 * lenient, and config_scoring.h says whether a forward pass is implemented for it.
 */
#ifndef BIFURCATED_MODEL_CONFIG_H
#define BIFURCATED_MODEL_CONFIG_H

#include "daemon/base/err.h"
#include "daemon/base/limits.h"
#include "daemon/model/config_doubt.h"
#include "gpu/tensor.h"

#include <stddef.h>
#include <stdint.h>

/* symbol, "hidden_act" names in config.json that mean it (up to three) */
#define MODEL_ACTIVATIONS(X)                                                                                 \
    X(MODEL_ACTIVATION_GELU, "gelu", "gelu_python", "")                         /* exact, with erf */        \
    X(MODEL_ACTIVATION_GELU_TANH, "gelu_new", "gelu_fast", "gelu_pytorch_tanh") /* tanh form */              \
    X(MODEL_ACTIVATION_RELU, "relu", "", "")                                                                 \
    X(MODEL_ACTIVATION_SILU, "silu", "swish", "")                                                            \
    X(MODEL_ACTIVATION_RELU_SQUARED, "relu2", "", "")                                                        \
    X(MODEL_ACTIVATION_XIELU, "xielu", "", "") /* of Apertus alone, which has no other */

enum model_activation {
#define X(symbol, first, second, third) symbol,
    MODEL_ACTIVATIONS(X)
#undef X
        MODEL_ACTIVATION_OTHER
};

#define MODEL_CONFIG_NAME_BYTES 96
#define MODEL_CONFIG_DIMENSION_MAX (1 << 24) /* a width or count beyond this is no model but a mistake */

struct model_config {
    char model_type[MODEL_CONFIG_NAME_BYTES];   /* "gpt_neox"; "" if absent */
    char architecture[MODEL_CONFIG_NAME_BYTES]; /* "GPTNeoXForCausalLM", the first one; "" if absent */
    uint64_t vocab_size;                        /* rows of the unembedding as stored; 0 if absent, as below */
    uint64_t hidden_size;
    uint64_t layer_count;
    uint64_t head_count;
    uint64_t key_value_head_count; /* = head_count unless grouped */
    uint64_t head_size;            /* 0: hidden_size / head_count */
    uint64_t intermediate_size;    /* 4 * hidden_size where absent in families that mean that */
    uint64_t expert_count;         /* of a layer; 0: the family has none, as below */
    uint64_t experts_per_input;
    int has_normalised_router;
    int has_sigmoid_router; /* as gpu/score.h has it, and the next */
    double router_scale;
    uint64_t dense_layer_count, dense_size, shared_size;
    uint64_t max_positions;
    uint64_t sliding_window; /* tokens that some layers look back at most, itself among them; 0: all */
    char rotary_type[32];    /* "default", "linear", ... */
    double rotary_factor;    /* linear, llama3 and yarn of a Llama; the last two alone: */
    double rotary_low_factor, rotary_high_factor;
    uint64_t rotary_original_positions;
    double rotary_attention_factor;                   /* yarn */
    uint8_t unscaled_layers[LIMIT_SCORE_LAYERS / 8];  /* a bit per layer to which none of these applies */
    uint8_t unrotated_layers[LIMIT_SCORE_LAYERS / 8]; /* a bit per layer without rotary embeddings */
    uint8_t sliding_layers[LIMIT_SCORE_LAYERS / 8];   /* a bit per layer that has the window */
    double rotary_fraction;                           /* of a head's dimensions that are rotated, 0..1 */
    uint64_t rotary_dimensions;            /* the same as a number, where the family says it so; or 0 */
    double rotary_base;                    /* theta */
    double unscaled_rotary_base;           /* of the unscaled layers; 0: the same */
    enum model_activation head_activation; /* ModernBERT: of the head before the unembedding */
    int has_head_bias, has_unembedding_bias;
    int has_parallel_residual;
    int has_attention_bias, has_mlp_bias;
    int has_unscaled_attention, has_attention_scale_by_layer;                                 /* GPT-2 */
    double embedding_multiplier, attention_multiplier, residual_multiplier, logit_multiplier; /* 0: none */
    int has_rms_norm, lacks_norm_weight, lacks_norm_bias; /* hf_olmo, which has several kinds */
    int is_tied;                                          /* the unembedding is the input embedding */
    enum model_activation activation;
    char activation_name[32];
    double norm_epsilon;
    double qkv_limit;               /* OLMo's "clip_qkv"; 0: none */
    int64_t bos_token_id;           /* -1 if absent */
    int64_t eos_token_id;           /* the first, where a list is given */
    char tokenizer_class[64];       /* "" if absent; cut where it is longer, and then no class */
    char doubt[CONFIG_DOUBT_BYTES]; /* of a family that can be scored: why not this one, or "" */
};

/* Reads config.json from text in memory. ERR_FORMAT for what is no JSON object or holds a value of a wrong
 * type; absent keys take the defaults of transformers. */
int model_config_parse(const char *json, size_t size, struct model_config *ret_config, struct err *err);

/* Whether this is the model's type ("gpt2"). */
int model_config_is(const struct model_config *config, const char *model_type);

#endif
