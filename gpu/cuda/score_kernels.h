/*
 * The kernels of scoring beside the matrix products, and their launchers. All memory is the device's.
 *
 * Activations that enter a product have the model's element type (float16, bfloat16 or float32), the residual
 * stream and every sum are float32. A batch is `rows` inputs of several documents, packed without padding.
 */
#ifndef BIFURCATED_GPU_CUDA_SCORE_KERNELS_H
#define BIFURCATED_GPU_CUDA_SCORE_KERNELS_H

#include "gpu/score_tile.h"
#include "gpu/score_xielu.h"

#include <cuda_runtime_api.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum score_type { SCORE_TYPE_F16, SCORE_TYPE_BF16, SCORE_TYPE_F32 };

static inline size_t score_type_bytes(enum score_type type)
{
    return type == SCORE_TYPE_F32 ? 4 : 2;
}

/* to[r, i] = from[r, i], rounded to nearest even where the type is narrower; rows of `to` are `stride`
 * elements apart. */
cudaError_t score_launch_convert(enum score_type from_type, const void *from, enum score_type to_type,
                                 void *to, uint64_t rows, uint64_t width, uint64_t stride,
                                 cudaStream_t stream);

/* hidden[i, :] = table[ids[i], :] as float32. */
cudaError_t score_launch_embed(enum score_type type, const void *table, const uint32_t *ids, uint32_t rows,
                               uint32_t width, float *hidden, cudaStream_t stream);

/* hidden[i, :] += table[ids[i], :]. */
cudaError_t score_launch_embed_add(enum score_type type, const void *table, const uint32_t *ids,
                                   uint32_t rows, uint32_t width, float *hidden, cudaStream_t stream);

/* out = (x - mean) / sqrt(variance + epsilon) * weight + bias per row; a second weight makes a second output
 * from the same row, read once. `second` NULL: only one. Of float32 `out` may be `hidden`. */
struct score_norm {
    const float *weight, *bias;
    void *out;
};
cudaError_t score_launch_norm(enum score_type type, const float *hidden, uint32_t rows, uint32_t width,
                              float epsilon, const struct score_norm *first, const struct score_norm *second,
                              cudaStream_t stream);

/* out = x / sqrt(mean of x^2 + epsilon) * weight per row of `width` elements. */
struct score_rms {
    const float *weight;
    uint32_t rows, width;
    float epsilon;
};
cudaError_t score_launch_rms(enum score_type type, const struct score_rms *rms, const float *x, void *out,
                             cudaStream_t stream);
/* In place, rows `stride` elements apart, of which each is `parts` pieces, one behind the other, with a norm
 * and the same weights for each. */
cudaError_t score_launch_rms_in_place(enum score_type type, const struct score_rms *rms, uint32_t parts,
                                      void *x, uint64_t stride, cudaStream_t stream);
/* hidden += out. */
cudaError_t score_launch_rms_add(const struct score_rms *rms, const float *x, float *hidden,
                                 cudaStream_t stream);

/* Where queries, keys and values lie in a row. `group` neighbouring heads of queries share a key and a value;
 * with more than one, a head of keys is where a head of queries with its number would have its key. */
struct score_heads {
    uint32_t head_count, head_size;  /* of queries */
    uint32_t head_stride;            /* from head to head */
    uint32_t key_shift, value_shift; /* from a head's query to its key and value */
    uint32_t row_stride;             /* queries, keys and values of all heads */
};

/* Which angles rotate which pairs: of `half` pairs of each head, tables [positions, half]. */
struct score_rotation {
    struct score_heads heads;
    uint32_t group, half;
    uint32_t rows;
    const uint32_t *positions; /* [rows] */
    const float *cosine, *sine;
};

/* Rotates queries and keys in place: dimensions j and half + j of a head are a pair. */
cudaError_t score_launch_rotate(enum score_type type, const struct score_rotation *how, void *qkv,
                                cudaStream_t stream);

/* The same of dimensions 2 j and 2 j + 1. */
cudaError_t score_launch_rotate_neighbours(enum score_type type, const struct score_rotation *how, void *qkv,
                                           cudaStream_t stream);

/* x = activation(x) in place, rows `stride` elements apart; `activation` is enum score_activation. */
cudaError_t score_launch_activate(enum score_type type, int activation, void *x, uint32_t rows,
                                  uint32_t width, uint64_t stride, cudaStream_t stream);

/* x = activation(x) * up in place, where `up` are the `width` elements of a row behind those of x. */
cudaError_t score_launch_gate(enum score_type type, int activation, void *x, uint32_t rows, uint32_t width,
                              uint64_t stride, cudaStream_t stream);

/* x = xIELU(x) in place, rows `stride` elements apart. */
cudaError_t score_launch_xielu(enum score_type type, const struct score_xielu *numbers, void *x,
                               uint32_t rows, uint32_t width, uint64_t stride, cudaStream_t stream);

/* x = factor x in place. */
cudaError_t score_launch_scale(float *x, uint64_t count, float factor, cudaStream_t stream);

/* Each of `count` elements to at least -limit and at most limit, in place. */
cudaError_t score_launch_cut(enum score_type type, void *x, uint64_t count, float limit, cudaStream_t stream);

/* to[i, :] = from[rows[i], :] for rows of `row_bytes`, a multiple of 2. */
cudaError_t score_launch_gather(const void *from, const uint32_t *rows, uint32_t count, size_t row_bytes,
                                void *to, cudaStream_t stream);

/* -- Attention: out[i, head] = softmax(scale q k^T - slope distance) v over the keys up to the query's own,
 * the last ones within a window -- */

#define SCORE_ATTENTION_ROWS 64U  /* queries of a tile */
#define SCORE_ATTENTION_VECTOR 8U /* elements of 16 bits that are stored at once */

struct score_attention {
    struct score_heads heads;
    uint32_t group;
    const struct score_tile *tiles;
    uint32_t tile_count;
    double scale;        /* of the scores */
    const float *slopes; /* [head_count], with a group of 1; NULL: scores do not fall with distance */
    uint32_t window;     /* keys that a query sees at most, its own among them; 0: all. Without slopes */
};

/* out [rows, head_count * head_size], rows `out_stride` elements apart. On matrix units for 16-bit types with
 * a head size that is a multiple of 8 up to 256, where the stride must be one, too; other models take float32
 * arithmetic. */
cudaError_t score_launch_attention(enum score_type type, const void *qkv,
                                   const struct score_attention *attention, void *out, uint64_t out_stride,
                                   cudaStream_t stream);
cudaError_t score_launch_attention_plain(enum score_type type, const void *qkv,
                                         const struct score_attention *attention, void *out,
                                         uint64_t out_stride, cudaStream_t stream);

/* -- Experts: who goes to which, and back ------------------------------------------------------------- */

#define SCORE_ROUTES_EXPERTS 4096U /* at most */
#define SCORE_ROUTES_PART 1024U    /* choices that are counted together */

/* A choice is an input and one of its experts: of each row as many, in ascending order of the experts. */
struct score_routes {
    uint32_t rows, experts, per_input; /* rows * per_input choices: below 2^31 */
    uint32_t *choices;                 /* [rows, per_input] the experts */
    float *weights;                    /* [rows, per_input] that the answers are multiplied with */
    uint32_t *counts, *starts;         /* [score_routes_parts, experts] */
    uint32_t *begins;                  /* [experts + 1] of an expert's choices, among the grouped ones */
    uint32_t *places;                  /* [rows, per_input] of a choice among the grouped ones */
    uint32_t *inputs;                  /* [rows * per_input] the row of each grouped one */
};

static inline uint64_t score_routes_parts(uint64_t choices)
{
    return (choices + SCORE_ROUTES_PART - 1) / SCORE_ROUTES_PART;
}

/* The `per_input` largest logits [rows, experts] of each row, of equal ones the first; the weights are their
 * part of the softmax over all, divided by their sum if is_normalised. A NaN among the logits makes all
 * weights of the row NaN. */
cudaError_t score_launch_choose(const float *logits, int is_normalised, const struct score_routes *routes,
                                cudaStream_t stream);

/* The same of the sigmoids of logits, of which those are chosen that have the largest sums with their bias
 * [experts]; the sum of the chosen ones that weights are divided by begins with `least`, and
 * `scale` is a factor of all. NaN among logits or biases makes all weights of the row NaN. */
cudaError_t score_launch_choose_by_sigmoid(const float *logits, const float *bias, int is_normalised,
                                           float least, float scale, const struct score_routes *routes,
                                           cudaStream_t stream);

/* Groups the choices by expert; within one they stay in the order of the rows. */
cudaError_t score_launch_group(const struct score_routes *routes, cudaStream_t stream);

/* hidden[row] += weight * answer for each choice of the row, in their order; `answers` [grouped choices,
 * width]. */
cudaError_t score_launch_answer(const float *answers, const struct score_routes *routes, uint32_t width,
                                float *hidden, cudaStream_t stream);

/* -- Products that cuBLASLt does not do, of any shape, stride and alignment (score_gemm.h) -------------- */

struct score_product {
    const void *weights, *x;
    void *out;
    uint64_t outputs, inputs, rows;
    uint64_t weights_stride, x_stride, out_stride; /* elements from row to row */
    int is_transposed;                             /* weights [inputs, outputs], else [outputs, inputs] */
    int is_sum;                                    /* adds to out */
    float factor;
};

/* out = factor x W^T (+ out), summed in float32 in the order of the inputs. `out` is of `out_type`: x's own,
 * or float32. */
cudaError_t score_launch_product(enum score_type type, enum score_type out_type,
                                 const struct score_product *product, cudaStream_t stream);

/* x[r, i] += bias[i], both of the type; rows `stride` elements apart. */
cudaError_t score_launch_bias(enum score_type type, void *x, const void *bias, uint64_t rows, uint64_t width,
                              uint64_t stride, cudaStream_t stream);

/* -- The head: a running log-sum-exp over blocks of the vocabulary ----------------------------------- */

#define SCORE_HEAD_COLUMNS 8192U /* tokens of a block */

struct score_head_state {
    double sum;       /* of exp(x - largest) */
    float largest;    /* -Inf before the first block */
    float target;     /* the target's logit, once its block was there */
    uint32_t best;    /* the first index with the largest logit */
    uint32_t padding; /* zero */
};

cudaError_t score_launch_head_start(struct score_head_state *states, uint32_t rows, cudaStream_t stream);

/* Takes in logits [rows, columns] of the tokens first ... first + columns - 1, at most SCORE_HEAD_COLUMNS. */
cudaError_t score_launch_head_add(const float *logits, uint32_t rows, uint32_t columns, uint32_t first,
                                  const uint32_t *targets, struct score_head_state *states,
                                  cudaStream_t stream);

cudaError_t score_launch_head_finish(const struct score_head_state *states, const uint32_t *targets,
                                     uint32_t rows, double *logprobs, uint8_t *is_argmax,
                                     cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
