/*
 * Scoring: the log-probability that a language model gives to chosen tokens of many documents.
 *
 * Documents are packed: one array of token ids, and per document where it begins, its length and the run of
 * its tokens that is scored (the arrays of daemon/text/passages.h as they are). A document of n tokens makes
 * n - 1 inputs; token j is predicted at input j - 1. Documents do not see each other, and none is padded.
 *
 * What a model is made of stands in one table (score_architecture_find): the names and shapes of its tensors.
 * A model is loaded from views of named tensors, which must stay valid while it exists.
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

enum score_activation {
    SCORE_ACTIVATION_GELU,      /* x * Phi(x), exact */
    SCORE_ACTIVATION_GELU_TANH, /* its tanh approximation */
    SCORE_ACTIVATION_RELU,
    SCORE_ACTIVATION_SILU,
    SCORE_ACTIVATION_RELU_SQUARED,
    SCORE_ACTIVATION_XIELU, /* with numbers of each layer (score_xielu.h): of Apertus, which has no other */
    SCORE_ACTIVATION_COUNT
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
    uint64_t input_count;  /* inputs that went through the layers */
    double flops;          /* of the products, as score_flops counts them */
    uint64_t memory_bytes; /* that the backend had allocated for model and scoring at most */
};

/* -- What a model is made of ---------------------------------------------------------------------- */

/* Which part a tensor plays. The first ones exist once, others in every layer, the last in every expert. */
enum score_role {
    SCORE_ROLE_EMBEDDING,
    SCORE_ROLE_POSITIONS, /* [position_rows, d], a row of which is added to that of the embedding */
    SCORE_ROLE_EMBEDDING_NORM_WEIGHT, /* of the embedding's rows, before the first layer */
    SCORE_ROLE_EMBEDDING_NORM_BIAS,
    SCORE_ROLE_UNEMBEDDING,
    SCORE_ROLE_UNEMBEDDING_BIAS,
    SCORE_ROLE_FINAL_NORM_WEIGHT,
    SCORE_ROLE_FINAL_NORM_BIAS,
    SCORE_ROLE_HEAD_WEIGHT, /* [d, d], between the final norm and a norm before the unembedding */
    SCORE_ROLE_HEAD_BIAS,
    SCORE_ROLE_HEAD_NORM_WEIGHT,
    SCORE_ROLE_HEAD_NORM_BIAS,
    SCORE_ROLE_ATTENTION_NORM_WEIGHT, /* the first of the roles of a layer */
    SCORE_ROLE_ATTENTION_NORM_BIAS,
    SCORE_ROLE_QKV_WEIGHT, /* in one tensor (score_weights_find splits some), or apart: */
    SCORE_ROLE_QKV_BIAS,
    SCORE_ROLE_QUERY_WEIGHT,
    SCORE_ROLE_QUERY_BIAS,
    SCORE_ROLE_KEY_WEIGHT,
    SCORE_ROLE_KEY_BIAS,
    SCORE_ROLE_VALUE_WEIGHT,
    SCORE_ROLE_VALUE_BIAS,
    SCORE_ROLE_QUERY_NORM_WEIGHT, /* as enum score_head_norm says */
    SCORE_ROLE_KEY_NORM_WEIGHT,
    SCORE_ROLE_ATTENTION_OUT_WEIGHT,
    SCORE_ROLE_ATTENTION_OUT_BIAS,
    SCORE_ROLE_MLP_NORM_WEIGHT,
    SCORE_ROLE_MLP_NORM_BIAS,
    SCORE_ROLE_MLP_UP_GATE_WEIGHT, /* in one tensor, which score_weights_find splits, or apart: */
    SCORE_ROLE_MLP_UP_GATE_BIAS,
    SCORE_ROLE_MLP_GATE_WEIGHT,
    SCORE_ROLE_MLP_GATE_BIAS,
    SCORE_ROLE_MLP_UP_WEIGHT,
    SCORE_ROLE_MLP_UP_BIAS,
    SCORE_ROLE_MLP_DOWN_WEIGHT,
    SCORE_ROLE_MLP_DOWN_BIAS,
    SCORE_ROLE_XIELU_POSITIVE, /* of one number each: score_xielu.h */
    SCORE_ROLE_XIELU_NEGATIVE,
    SCORE_ROLE_XIELU_BETA, /* without a dimension, as is the next */
    SCORE_ROLE_XIELU_EPSILON,
    SCORE_ROLE_ROUTER_WEIGHT,      /* [expert_count, d] */
    SCORE_ROLE_EXPERT_GATE_WEIGHT, /* the first of the roles of an expert */
    SCORE_ROLE_EXPERT_UP_WEIGHT,
    SCORE_ROLE_EXPERT_DOWN_WEIGHT,
    SCORE_ROLE_COUNT,
    SCORE_ROLE_LAYER_FIRST = SCORE_ROLE_ATTENTION_NORM_WEIGHT,
    SCORE_ROLE_EXPERT_FIRST = SCORE_ROLE_EXPERT_GATE_WEIGHT
};

/* How queries, keys and values are stored. */
enum score_qkv_order {
    SCORE_QKV_ORDER_PER_HEAD, /* one matrix: q, k, v of the first head, then of the second, ... (GPT-NeoX) */
    SCORE_QKV_ORDER_TOGETHER, /* one matrix: q of all heads, then k, then v */
    SCORE_QKV_ORDER_APART,    /* a matrix each, or one that is split so: q of all heads, then k, then v */
};

enum score_norm_kind {
    SCORE_NORM_LAYER, /* (x - mean) / sqrt(variance + epsilon) * weight + bias, where there are such */
    SCORE_NORM_RMS,   /* x / sqrt(mean of x^2 + epsilon) * weight */
};

enum score_norm_place {
    SCORE_NORM_BEFORE, /* x + attn(norm x) */
    SCORE_NORM_AFTER,  /* x + norm(attn x) */
};

/* The RMS norm of queries and of keys, before they are rotated. */
enum score_head_norm {
    SCORE_HEAD_NORM_NONE,
    SCORE_HEAD_NORM_TOGETHER, /* over all heads */
    SCORE_HEAD_NORM_EACH,     /* of each head by itself, all with the same weights */
};

/* What shorter rows of the unembedding are divided by where that makes them of length 1: so rows of zeros
 * stay what they are, and one with a NaN is all NaN (torch.nn.functional.normalize). */
#define SCORE_UNIT_LENGTH_MIN 1e-12

/* A family: the names of its tensors, and what its layers do. A backend refuses what it does not compute. */
struct score_architecture {
    const char *name;         /* as model_type in config.json */
    const char *const *names; /* [SCORE_ROLE_COUNT]; the first "%u" is the layer, the second the expert; NULL:
                                 it has no such tensor */
    int has_bare_first_layer; /* whose attention sees the embedding without a norm */
    int is_gate_first;        /* in the tensor that holds both, gate comes before up */
    const char *prefix;       /* of these names, which files may leave out; or NULL */
    enum score_qkv_order qkv_order;
    int is_transposed; /* the layers' matrices are stored with a row for each input */
    enum score_norm_kind norm;
    enum score_norm_place norm_place; /* of the norms of attention and MLP */
    int has_alibi;                    /* attention has a slope (score_alibi.h) */
    enum score_head_norm head_norm;
    int is_cut_after_norm;   /* else queries, keys and values are cut before any norm */
    int has_neighbour_pairs; /* dimensions 2 j and 2 j + 1 of a head rotate together, else j and half + j */
    int has_unit_rows;       /* the unembedding's are divided by their lengths (SCORE_UNIT_LENGTH_MIN) */
    int has_norm_offset;     /* of attention, MLP and at the end weights of norms are stored less 1 */
    int has_gate;            /* down(activation(gate x) * up x), else down(activation(up x)) */
    int has_attention_bias, has_mlp_bias; /* always, whatever config.json says */
};

/* ERR_UNSUPPORTED lists the names that are known. */
int score_architecture_find(const char *name, const struct score_architecture **ret_architecture,
                            struct err *err);

#define SCORE_EXPERT_ROLES ((int)SCORE_ROLE_COUNT - (int)SCORE_ROLE_EXPERT_FIRST)

/* A model's tensors, found and checked. Views; a member without data is absent (a bias, a tied unembedding).
 */
struct score_weights {
    struct tensor_view model[SCORE_ROLE_LAYER_FIRST];
    struct tensor_view (*layers)[SCORE_ROLE_COUNT];    /* [layer_count][role], roles of a layer only */
    struct tensor_view (*experts)[SCORE_EXPERT_ROLES]; /* [layer_count * expert_count][role -
                                                          SCORE_ROLE_EXPERT_FIRST]; NULL: there are none */
};

/* Whether the numbers fit each other and are within limits; ERR_INVALID, ERR_UNSUPPORTED, ERR_LIMIT. Other
 * functions take a configuration that was checked. */
int score_config_check(const struct score_config *config, struct err *err);

/* How many tensors a role has, if the model has it at all: numbered from 0, layer by layer, and within a
 * layer expert by expert. */
uint64_t score_role_count(const struct score_config *config, enum score_role role);

/* The sum over all roles: no model has more tensors. */
uint64_t score_tensor_count_max(const struct score_config *config);

/* The name of tensor `number` of a role into `name`, or 0 bytes if the model has none. For loaders that fetch
 * only what is needed. */
#define SCORE_NAME_BYTES 128
void score_tensor_name(const struct score_config *config, enum score_role role, uint64_t number,
                       char name[SCORE_NAME_BYTES]);

/* How many layers a model with a tensor of this name has at least: one more than the layer that the name is
 * of, whatever the tensor is (buffers, too), and with the family's prefix or without; 0 for names that are of
 * no layer, or of another architecture. */
uint64_t score_name_layers(const struct score_config *config, const char *name);

/* The shape that it must have. */
void score_tensor_shape(const struct score_config *config, enum score_role role,
                        struct tensor_shape *ret_shape);

/* Finds every tensor of the source, splits those that hold what other families have apart, and checks dtype
 * (F16, BF16, F32) and shape: ERR_NOT_FOUND, ERR_UNSUPPORTED or ERR_FORMAT with the tensor's name. The caller
 * frees with score_weights_free. */
int score_weights_find(const struct score_model_source *source, struct score_weights *ret_weights,
                       struct err *err);
void score_weights_free(struct score_weights *weights);

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
