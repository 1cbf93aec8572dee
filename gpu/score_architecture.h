/*
 * What a model is made of: a table of families, with the names and shapes of their tensors and what their
 * layers do. Finding the tensors of a model among those of its files.
 */
#ifndef BIFURCATED_GPU_SCORE_ARCHITECTURE_H
#define BIFURCATED_GPU_SCORE_ARCHITECTURE_H

#include "gpu/score.h"

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
    SCORE_ROLE_ROUTER_BIAS,        /* [expert_count] of SCORE_ROUTER_SIGMOID */
    SCORE_ROLE_SHARED_GATE_WEIGHT, /* score_weights_find puts them in the place of the layer's MLP */
    SCORE_ROLE_SHARED_UP_WEIGHT,
    SCORE_ROLE_SHARED_DOWN_WEIGHT,
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

#endif
