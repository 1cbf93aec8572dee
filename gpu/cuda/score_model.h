/*
 * A model in the GPU's memory.
 *
 * Vectors, embedding and unembedding are always there. The matrices of the layers are *resident*, or, where
 * memory does not hold them, *streamed*: two slots hold a layer each, and while one is used for all documents
 * of a wave the next layer is copied into the other.
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_MODEL_H
#define BIFURCATED_GPU_CUDA_SCORE_MODEL_H

#include "gpu/cuda/score.h"
#include "gpu/cuda/score_gemm.h"
#include "gpu/score_architecture.h"

/* With a row for each output, or for each input where the family stores them so: products read either. */
enum model_matrix {
    MODEL_MATRIX_QKV,    /* outputs as stored in one tensor, or q of all heads, then k, then v */
    MODEL_MATRIX_MLP_UP, /* outputs: the gate's, if there is one, then those of what goes up */
    MODEL_MATRIX_OUT, /* attention out beside MLP down: both add to the residual stream, so one product does
                       */
    MODEL_MATRIX_ROUTER,
    MODEL_MATRIX_EXPERTS_UP, /* of all experts, one behind the other: as MODEL_MATRIX_MLP_UP */
    MODEL_MATRIX_EXPERTS_DOWN,
    MODEL_MATRIX_BESIDE_DOWN, /* of the MLP beside experts, or in their place; its up is that of MLPs */
    MODEL_MATRIX_COUNT
};

struct cuda_layer {
    void *matrices[MODEL_MATRIX_COUNT]; /* NULL where the family has none */
    float *attention_norm_weight, *attention_norm_bias, *mlp_norm_weight, *mlp_norm_bias;
    float *query_norm_weight, *key_norm_weight; /* of families with these norms */
    void *qkv_bias, *mlp_up_bias; /* of the model's type; a bias that the model does not have is zero */
    float *attention_out_bias, *mlp_down_bias, *out_bias; /* the last: their sum */
    float *router_bias;       /* [expert_count] of SCORE_ROUTER_SIGMOID, or NULL */
    uint64_t mlp_size;        /* score_mlp_size */
    struct score_xielu xielu; /* where that is the activation */
};

struct cuda_model {
    struct cuda_device *device;
    struct score_config config;
    const struct score_architecture *architecture;
    uint64_t query_width, key_value_width;       /* of all heads */
    uint64_t up_width;                           /* outputs of MODEL_MATRIX_MLP_UP, or of an expert's */
    uint64_t expert_up_bytes, expert_down_bytes; /* from expert to expert; 0 without */
    enum score_type type;
    struct score_watch watch;
    uint64_t budget_bytes;
    int is_resident;
    struct score_weights views;
    struct gemm gemm;
    struct score_heads heads;
    uint32_t group;            /* heads of queries that share a key */
    struct cuda_layer *layers; /* [layer_count] */
    void *embedding, *unembedding;
    void *positions;                                    /* [position_rows, d] of families that learn them */
    float *embedding_norm_weight, *embedding_norm_bias; /* NULL: there is none */
    float *slopes;                                      /* [head_count] of ALiBi; NULL: there are none */
    float *final_norm_weight, *final_norm_bias;
    void *head; /* [d, d] of families with SCORE_ROLE_HEAD_WEIGHT, and then: */
    float *head_bias, *head_norm_weight, *head_norm_bias;
    float *unembedding_bias; /* [vocabulary_rows]; NULL: there is none */
    float *unit_weight; /* [d] 1 / sqrt(d), of families whose unembedding has rows of length 1; or NULL */
    void *vectors;      /* the part of `memory` that all vectors lie in */
    size_t vectors_bytes;
    void *memory; /* all of the above */
    size_t memory_bytes;
    void *raw; /* a matrix as stored, before its conversion; NULL where none is needed */
    size_t raw_bytes;
    uint64_t slot_layers[2]; /* streamed: whose matrices are in a slot; layer_count: none's */
    cudaEvent_t slot_loaded[2], slot_used[2];
};

enum score_type model_type_of(enum tensor_dtype dtype);

/* Queries, keys and values of all heads. */
uint64_t model_qkv_width(const struct cuda_model *model);

/* What MODEL_MATRIX_OUT is multiplied with, all of it: attention's answer beside the MLP's wide rows, if
 * there is one MLP. */
uint64_t model_out_inputs(const struct cuda_model *model);

/* Its elements before those of input `first`, and from row to row. */
uint64_t model_out_place(const struct cuda_model *model, uint64_t first);
uint64_t model_out_stride(const struct cuda_model *model);

/* 0 without data. */
uint64_t model_view_elements(const struct tensor_view *view);

/* Streamed models: brings a layer's matrices to its slot, in the order of the copy stream; the next use of
 * the slot waits for it. Resident: nothing. */
int model_layer_load(struct cuda_model *model, uint64_t layer, struct err *err);

/* Before and after the kernels of a layer are launched. */
int model_layer_begin(struct cuda_model *model, uint64_t layer, struct err *err);
int model_layer_end(struct cuda_model *model, uint64_t layer, struct err *err);

/* Bytes that may still be allocated, for the model or for scoring: of the budget, or of the device's free
 * memory. */
int model_room_bytes(const struct cuda_model *model, uint64_t *ret_bytes, struct err *err);

#endif
