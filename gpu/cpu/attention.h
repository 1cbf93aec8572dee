/*
 * Causal attention within one document, and the rotation of queries and keys.
 */
#ifndef BIFURCATED_GPU_CPU_ATTENTION_H
#define BIFURCATED_GPU_CPU_ATTENTION_H

#include "gpu/cpu/gemm.h"
#include "gpu/cpu/score_kernels.h"
#include "gpu/score_rotary.h"

#include <stddef.h>
#include <stdint.h>

#define ATTENTION_BLOCK_ROWS 64U /* queries that meet their keys in one product */

/* Rotates `row`, the vectors of head_count heads at one position: dimensions j and half + j of each are a
 * pair (x, y), which becomes (x cos - y sin, y cos + x sin). */
void attention_rotate(const struct score_rotary *rotary, uint32_t position, float *row, size_t head_count,
                      size_t head_size);

/* The same, of dimensions 2 j and 2 j + 1. */
void attention_rotate_neighbours(const struct score_rotary *rotary, uint32_t position, float *row,
                                 size_t head_count, size_t head_size);

/* The queries of one document and what they see. Strides in floats, from one token to the next. */
struct attention_document {
    size_t head_count, head_size;
    size_t key_head_count; /* divides head_count: as many neighbouring heads of queries see the same keys */
    size_t query_count;
    size_t query_position; /* of the first query within the document; keys are those of positions 0 ... */
    size_t window;         /* keys that a query sees at most, its own among them; 0: all before it */
    float scale;           /* of the scores */
    int has_alibi;         /* and they fall with distance (score_alibi.h) */
    const float *queries;  /* [query_count, head_count * head_size] */
    size_t query_stride;
    const float *keys, *values; /* [query_position + query_count, key_head_count * head_size] */
    size_t key_stride;
    float *out; /* [query_count, head_count * head_size]; may be the queries */
    size_t out_stride;
};

/* Floats of scratch memory for documents of at most `positions` inputs. */
size_t attention_scratch_floats(size_t positions);

/* out = softmax(q k^T * scale - slope * distance) v for each head, over the keys up to the query's own
 * position, or the last ones of these within the window. `workspace`: of products (gemm.h). */
void attention_run(const struct attention_document *document, const struct score_kernels *kernels,
                   enum gemm_engine engine, float *scratch, void *workspace);

#endif
