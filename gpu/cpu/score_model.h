/*
 * A model in the CPU's memory, ready for products.
 *
 * Weights are kept *resident* (all prepared at loading) or, where the memory budget does not allow that,
 * *streamed*: one layer at a time is prepared from the caller's views whenever it is needed, for as many
 * documents together as memory allows.
 */
#ifndef BIFURCATED_GPU_CPU_SCORE_MODEL_H
#define BIFURCATED_GPU_CPU_SCORE_MODEL_H

#include "gpu/cpu/attention.h"
#include "gpu/cpu/gemm.h"
#include "gpu/cpu/score_vectors.h"
#include "gpu/cpu/threads.h"
#include "gpu/score_architecture.h"
#include "gpu/score_plan.h"

#define SCORE_BATCH_INPUTS 512U      /* of a batch, unless one document is longer */
#define SCORE_HEAD_ROWS 256U         /* hidden states that meet the unembedding together ... */
#define SCORE_HEAD_COLUMNS 2048U     /* ... in blocks of so many tokens of the vocabulary */
#define SCORE_ROWS_PER_TURN 64U      /* rows that a thread prepares before it takes the next ones */
#define SCORE_WAVE_BYTES (256 * MIB) /* of hidden states at most, unless one batch needs more */

enum score_matrix {                   /* the matrices of a layer, in the order of their memory */
                    SCORE_MATRIX_QKV, /* rows: q of all heads, then k, then v */
                    SCORE_MATRIX_ATTENTION_OUT,
                    SCORE_MATRIX_MLP_UP, /* rows: the gate's, if there is one, then those of what goes up */
                    SCORE_MATRIX_MLP_DOWN,
                    SCORE_MATRIX_ROUTER,
                    SCORE_MATRIX_HEAD, /* of the last layer, where the family has SCORE_ROLE_HEAD_WEIGHT */
                    SCORE_MATRIX_COUNT
};

struct score_expert {
    struct gemm_matrix up, down; /* as SCORE_MATRIX_MLP_UP and SCORE_MATRIX_MLP_DOWN */
};

struct score_layer {
    struct gemm_matrix matrices[SCORE_MATRIX_COUNT]; /* all zero where the family has none */
    struct score_expert *experts;                    /* [expert_count] */
    const float *vectors[SCORE_VECTOR_COUNT];
    struct score_xielu xielu; /* where that is the activation */
};

struct cpu_score_model {
    struct cpu_threads *threads; /* borrowed */
    const struct score_kernels *kernels;
    struct score_config config;
    enum gemm_engine engine;
    const struct score_architecture *architecture;
    size_t head_size, query_width, key_value_width; /* of one head; of all */
    size_t up_width;     /* rows of an expert's matrix, or of SCORE_MATRIX_MLP_UP: */
    size_t mlp_up_width; /* of the largest one */
    struct score_watch watch;
    uint64_t budget_bytes;
    int is_resident;
    struct score_weights views;
    struct score_layer *layers;     /* [layer_count]; if streamed, their matrices share one memory */
    struct score_expert *experts;   /* of all layers */
    uint64_t loaded_layer;          /* streamed: whose matrices are prepared; layer_count: none's */
    struct gemm_matrix unembedding; /* resident only */
    float *final_norm_weight, *final_norm_bias;         /* the bias is all zero if there is none */
    float *embedding_norm_weight, *embedding_norm_bias; /* NULL if there is none */
    float *head_bias, *head_norm_weight, *head_norm_bias, *unembedding_bias; /* likewise */
    float *unembedding_scale; /* [vocabulary_rows] that logits are multiplied with; NULL: they are not */
    void *matrix_memory, *vector_memory;
    uint64_t memory_bytes; /* of the two */
};

int score_model_init(struct cpu_score_model *model, struct cpu_threads *threads,
                     const struct score_kernels *kernels, enum gemm_engine engine,
                     const struct score_model_source *source, struct err *err);
void score_model_done(struct cpu_score_model *model);

/* Streamed models: prepares the matrices of a layer, with all threads. */
void score_model_prepare_layer(struct cpu_score_model *model, uint64_t layer);

#endif
