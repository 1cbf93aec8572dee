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
#include "gpu/cpu/threads.h"
#include "gpu/score.h"
#include "gpu/score_plan.h"

#define SCORE_BATCH_INPUTS 512U      /* of a batch, unless one document is longer */
#define SCORE_HEAD_ROWS 256U         /* hidden states that meet the unembedding together ... */
#define SCORE_HEAD_COLUMNS 2048U     /* ... in blocks of so many tokens of the vocabulary */
#define SCORE_WAVE_BYTES (256 * MIB) /* of hidden states at most, unless one batch needs more */

enum score_matrix { /* the matrices of a layer, in the order of their memory */
                    SCORE_MATRIX_QKV,
                    SCORE_MATRIX_ATTENTION_OUT,
                    SCORE_MATRIX_MLP_UP,
                    SCORE_MATRIX_MLP_DOWN,
                    SCORE_MATRIX_COUNT
};

struct score_layer {
    struct gemm_matrix matrices[SCORE_MATRIX_COUNT];
    /* float32 vectors; a bias that the model does not have is all zero. */
    float *attention_norm_weight, *attention_norm_bias, *mlp_norm_weight, *mlp_norm_bias;
    float *qkv_bias, *mlp_up_bias;
    float *attention_out_bias, *mlp_down_bias;
};

struct cpu_score_model {
    struct cpu_threads *threads; /* borrowed */
    const struct score_kernels *kernels;
    struct score_config config;
    enum gemm_engine engine;
    enum score_qkv_order qkv_order;
    size_t head_size;
    struct score_watch watch;
    uint64_t budget_bytes;
    int is_resident;
    struct score_weights views;
    struct score_layer *layers;     /* [layer_count]; if streamed, their matrices share one memory */
    uint64_t loaded_layer;          /* streamed: whose matrices are prepared; layer_count: none's */
    struct gemm_matrix unembedding; /* resident only */
    float *final_norm_weight, *final_norm_bias;
    void *matrix_memory, *vector_memory;
    uint64_t memory_bytes; /* of the two */
};

/* Scratch memory of one thread: batches of at most `batch_inputs`, documents of at most `document_inputs`. */
uint64_t score_scratch_bytes(const struct score_config *config, enum gemm_engine engine, size_t batch_inputs,
                             size_t document_inputs);

int score_model_init(struct cpu_score_model *model, struct cpu_threads *threads,
                     const struct score_kernels *kernels, enum gemm_engine engine,
                     const struct score_model_source *source, struct err *err);
void score_model_done(struct cpu_score_model *model);

/* Streamed models: prepares the matrices of a layer, with all threads. */
void score_model_prepare_layer(struct cpu_score_model *model, uint64_t layer);

#endif
