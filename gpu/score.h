/*
 * Scoring: the log-probability that a language model gives to chosen tokens of many documents.
 *
 * Documents are packed: one array of token ids, and per document where it begins, its length and the run of
 * its tokens that is scored (the arrays of daemon/text/passages.h as they are). A document of n tokens makes
 * n - 1 inputs; token j is predicted at input j - 1. Documents do not see each other, and none is padded.
 *
 * What a model is made of stands in one table (score_architecture.h): the names and shapes of its tensors. A
 * model is loaded from views of named tensors, which must stay valid while it exists.
 *
 * Results per scored token: its log-probability (logits as float32, their log-sum-exp in float64) and whether
 * it is the most probable token (the first one among equals, as argmax). A model with NaN or Inf weights
 * gives NaN, and NaN is never the most probable. On one kind of processor, the CPU backend's results depend
 * on model and request alone, not on the number of threads; between processors, and with another memory
 * budget, products may be rounded in another order.
 */
#ifndef BIFURCATED_GPU_SCORE_H
#define BIFURCATED_GPU_SCORE_H

#include "daemon/base/err.h"
#include "daemon/base/limits.h"
#include "gpu/tensor.h"

#include <math.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SCORE_DEFINITION 1 /* raised when a result would change its meaning */
#define SCORE_SLOW_BYTES 256

enum score_activation {
    SCORE_ACTIVATION_GELU,      /* x * Phi(x), exact */
    SCORE_ACTIVATION_GELU_TANH, /* its tanh approximation */
    SCORE_ACTIVATION_RELU,
    SCORE_ACTIVATION_SILU,
    SCORE_ACTIVATION_RELU_SQUARED,
    SCORE_ACTIVATION_XIELU, /* with numbers of each layer (score_xielu.h): of Apertus, which has no other */
    SCORE_ACTIVATION_COUNT
};

#define SCORE_ROUTER_SUM_MIN 1e-20F /* added to the sum of sigmoids that weights are divided by */

/* How much each expert weighs, and which are chosen. */
enum score_router {
    SCORE_ROUTER_SOFTMAX, /* the softmax over all logits; the largest */
    SCORE_ROUTER_SIGMOID, /* the logit's sigmoid; the largest sums of that and the expert's bias */
};

enum score_precision {
    SCORE_PRECISION_DEFAULT, /* of the backend: cpu F32, cuda HALF */
    SCORE_PRECISION_F32,     /* weights as they are, products and sums with the precision of float32 */
    SCORE_PRECISION_HALF,    /* 16-bit products with float32 sums; not on the CPU */
};

/* How the frequencies of the rotary embedding, base^(-2 j / dimensions), are changed for longer contexts. */
enum score_rotary_kind {
    SCORE_ROTARY_DEFAULT, /* not at all */
    SCORE_ROTARY_LINEAR,  /* all divided by `factor` */
    SCORE_ROTARY_LLAMA3,  /* the low ones divided by `factor`, between them and the high ones a blend */
    SCORE_ROTARY_YARN, /* likewise, the blend even from pair to pair (Peng et al. 2023, arXiv 2309.00071) */
    SCORE_ROTARY_COUNT
};

struct score_rotary_scaling {
    enum score_rotary_kind kind; /* which says whether the numbers below mean anything */
    double factor;
    /* LLAMA3, YARN: a frequency is low or high by the turns that it makes within `original_positions`. */
    double low_frequency_factor, high_frequency_factor;
    uint64_t original_positions;
    double attention_factor; /* YARN: all cosines and sines times it */
};

/* What a family multiplies with where others do not; 0: not at all. */
struct score_multipliers {
    double embedding; /* the embedding's rows */
    double attention; /* the scores, which are not divided by the root of the size of a head then */
    double residual;  /* what attention and MLP add */
    double logits;
};

/* The numbers of a model's config.json. */
struct score_config {
    char architecture[64];         /* "gpt_neox": a name of the table */
    uint64_t vocabulary_rows;      /* rows of the embeddings as stored */
    uint64_t hidden_size;          /* d */
    uint64_t layer_count;          /* L */
    uint64_t head_count;           /* of queries */
    uint64_t key_value_head_count; /* divides head_count: so many queries share a key; 0: head_count */
    uint64_t head_size;            /* 0: d / head_count, which must divide it then */
    uint64_t intermediate_size;    /* of one expert, where there are such */
    uint64_t expert_count;      /* MLPs of a layer, of which a router chooses for each input; 0: one alone */
    uint64_t experts_per_input; /* that it chooses */
    int has_normalised_router;  /* the weights of the chosen ones are divided by their sum */
    enum score_router router;
    double router_scale;        /* that the weights are multiplied with; 0: 1 */
    uint64_t dense_layer_count; /* the first ones have one MLP, of another size, in place of experts */
    uint64_t dense_size;
    uint64_t shared_size;       /* of the MLP that all inputs go through beside the experts; 0: none */
    uint64_t max_positions;     /* inputs of a document at most */
    uint64_t position_rows;     /* of the table of learned positions, where the family has one: no fewer */
    uint64_t rotary_dimensions; /* of each head, even: the first ones are rotated; 0: none */
    double rotary_base;
    struct score_rotary_scaling rotary_scaling;
    uint8_t unrotated_layers[LIMIT_SCORE_LAYERS / 8]; /* a bit per layer; score_layer_is_rotated */
    uint8_t unscaled_layers[LIMIT_SCORE_LAYERS / 8];  /* likewise: whose frequencies are as they were */
    uint8_t sliding_layers[LIMIT_SCORE_LAYERS / 8];   /* likewise: that have the window; score_layer_window */
    uint64_t window_tokens;      /* keys that a query of such a layer sees at most, its own among them */
    double unscaled_rotary_base; /* of the layers that are not scaled; 0: rotary_base */
    enum score_activation head_activation;   /* of families with SCORE_ROLE_HEAD_WEIGHT */
    int has_head_bias, has_unembedding_bias; /* likewise */
    double norm_epsilon;
    double qkv_limit;                 /* queries, keys and values are cut to it, on both sides; 0: not */
    int has_unscaled_attention;       /* else scores are divided by the root of the size of a head */
    int has_attention_scale_by_layer; /* and then by the number of the layer, from 1 */
    struct score_multipliers multipliers;
    enum score_activation activation; /* of the gate, where there is one */
    int has_parallel_residual; /* x + attn(ln1 x) + mlp(ln2 x), else h = x + attn(ln1 x), h + mlp(ln2 h) */
    /* Whether the family's biases of these parts are there; true whatever it says where they always are. */
    int has_attention_bias, has_mlp_bias;
    int lacks_norm_weight, lacks_norm_bias; /* which the family may have */
    int is_tied;                            /* the unembedding is the input embedding */
};

/* Sizes that follow from those of a checked configuration. */
static inline uint64_t score_head_size(const struct score_config *config)
{
    return config->head_size ? config->head_size : config->hidden_size / config->head_count;
}

static inline uint64_t score_key_value_heads(const struct score_config *config)
{
    return config->key_value_head_count ? config->key_value_head_count : config->head_count;
}

/* All heads' queries, and what attention gives. */
static inline uint64_t score_query_width(const struct score_config *config)
{
    return config->head_count * score_head_size(config);
}

/* All heads' keys, or values. */
static inline uint64_t score_key_value_width(const struct score_config *config)
{
    return score_key_value_heads(config) * score_head_size(config);
}

static inline int score_layer_has_experts(const struct score_config *config, uint64_t layer)
{
    return config->expert_count && layer >= config->dense_layer_count;
}

/* Of the MLP that all inputs of a layer go through; 0: there is none, but experts. */
static inline uint64_t score_mlp_size(const struct score_config *config, uint64_t layer)
{
    return !config->expert_count                    ? config->intermediate_size
           : score_layer_has_experts(config, layer) ? config->shared_size
                                                    : config->dense_size;
}

/* The largest of all layers. */
static inline uint64_t score_mlp_size_max(const struct score_config *config)
{
    const uint64_t first = score_mlp_size(config, 0), last = score_mlp_size(config, config->layer_count - 1);
    return first > last ? first : last;
}

static inline int score_layer_is_rotated(const struct score_config *config, uint64_t layer)
{
    return !(config->unrotated_layers[layer / 8] >> layer % 8 & 1);
}

static inline void score_layer_leave_unrotated(struct score_config *config, uint64_t layer)
{
    config->unrotated_layers[layer / 8] |= (uint8_t)(1U << layer % 8);
}

/* What a part is multiplied with, where 0 says that it is not. */
static inline float score_factor(double multiplier)
{
    return multiplier > 0 ? (float)multiplier : 1.0F;
}

/* What the scores of attention are multiplied with. */
static inline double score_attention_scale(const struct score_config *config, uint64_t layer)
{
    double scale = config->multipliers.attention > 0 ? config->multipliers.attention
                   : config->has_unscaled_attention  ? 1.0
                                                     : 1.0 / sqrt((double)score_head_size(config));
    return config->has_attention_scale_by_layer ? scale / (double)(layer + 1) : scale;
}

/* Of the layers that are scaled, or of the others. */
static inline double score_rotary_base(const struct score_config *config, int is_scaled)
{
    return is_scaled || !(config->unscaled_rotary_base > 0) ? config->rotary_base
                                                            : config->unscaled_rotary_base;
}

static inline int score_layer_is_scaled(const struct score_config *config, uint64_t layer)
{
    return !(config->unscaled_layers[layer / 8] >> layer % 8 & 1);
}

/* How many keys a query sees at most, its own among them; 0: all before it. */
static inline uint64_t score_layer_window(const struct score_config *config, uint64_t layer)
{
    const int is_sliding = config->sliding_layers[layer / 8] >> layer % 8 & 1;
    return is_sliding && config->window_tokens < config->max_positions ? config->window_tokens : 0;
}

static inline int score_has_unscaled_layer(const struct score_config *config)
{
    for (uint64_t layer = 0; layer < config->layer_count; layer++)
        if (!score_layer_is_scaled(config, layer))
            return 1;
    return 0;
}

struct score_tensor {
    const char *name; /* "gpt_neox.embed_in.weight"; borrowed */
    struct tensor_view view;
};

/* What a model takes of its device. */
struct score_need {
    uint64_t memory_bytes;  /* as loaded */
    uint64_t scratch_bytes; /* scoring, at most; UINT64_MAX for all that there is (a streamed model) */
};

/* Who waits for a model: how loading it and calls on it are ended, and seen to move. */
struct score_watch {
    const atomic_bool *cancel;    /* or NULL: once true, they end with ERR_CANCELLED */
    void (*moved)(void *context); /* or NULL: called between pieces of the work, by any thread */
    void *context;
};

/* For backends, between pieces: tells that the work moves; whether it is cancelled. */
static inline int score_watch_look(const struct score_watch *watch)
{
    if (watch->moved)
        watch->moved(watch->context);
    return watch->cancel && atomic_load_explicit(watch->cancel, memory_order_relaxed);
}

struct score_model_source {
    struct score_config config;
    const struct score_tensor *tensors; /* any order; others than the model's own are ignored */
    size_t tensor_count;
    enum score_precision precision;
    uint64_t memory_budget_bytes;    /* that the backend may allocate for model and scoring; 0: no bound */
    const struct score_need *beside; /* or NULL. Another model of the same device may be scored meanwhile and
                                        needs so much: this one is loaded only if both fit whole, and have all
                                        the room that they can use, else ERR_NO_MEMORY */
    struct score_watch watch;
};

struct score_request {
    const uint32_t *tokens;
    size_t token_count;
    size_t document_count;
    const uint64_t *begin;        /* [document_count] index in tokens; documents may overlap */
    const uint32_t *length;       /* [document_count] tokens, at least 2 */
    const uint32_t *target_first; /* [document_count] first scored token, from begin; at least 1 */
    const uint32_t *target_count; /* [document_count] scored tokens, at least 1 */
};

struct score_result {
    size_t target_total; /* sum of target_count */
    double *logprobs;    /* [target_total] natural logarithms, documents in order */
    uint8_t *is_argmax;  /* [target_total] 0 or 1 */
    /* What it took. */
    uint64_t input_count;        /* inputs that went through the layers */
    double flops;                /* of the products, as score_flops counts them */
    uint64_t memory_bytes;       /* that the backend had allocated for model and scoring at most */
    char slow[SCORE_SLOW_BYTES]; /* which of the model's products have no fast way on this device, or "" */
};

/* Whether the numbers fit each other and are within limits; ERR_INVALID, ERR_UNSUPPORTED, ERR_LIMIT. Other
 * functions take a configuration that was checked. */
int score_config_check(const struct score_config *config, struct err *err);

/* -- Requests and results -------------------------------------------------------------------------- */

/* Checks a request against a model: ids within the vocabulary, lengths within the context, runs within their
 * document. ERR_INVALID with the document's number, from 1. *ret_target_total may be NULL. */
int score_request_check(const struct score_config *config, const struct score_request *request,
                        size_t *ret_target_total, struct err *err);

/* Makes room for `target_total` results. Free with score_result_free (also half-built or zeroed). */
int score_result_init(struct score_result *result, size_t target_total, struct err *err);
void score_result_free(struct score_result *result);

/* Floating point operations of the products that a request needs (2 per multiplication and addition): the
 * layers' matrices for each input, attention over the keys that are seen, the unembedding for each target. In
 * the last layer only keys and values are counted for inputs that predict no target. */
double score_flops(const struct score_config *config, const struct score_request *request);

#endif
