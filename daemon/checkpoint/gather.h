/*
 * Makes a strided tensor contiguous. Private to the readers.
 */
#ifndef BIFURCATED_CHECKPOINT_GATHER_H
#define BIFURCATED_CHECKPOINT_GATHER_H

#include "gpu/tensor.h"

#include <stddef.h>
#include <stdint.h>

/* Whether elements with these strides (in elements) lie in row-major order without gaps. */
int gather_is_contiguous(const struct tensor_shape *shape, const uint64_t *stride);

/* How many elements lie between the first and the last one, both included: 1 + sum((size - 1) * stride); 0
 * for an empty tensor. The caller has checked that this does not overflow. */
uint64_t gather_span(const struct tensor_shape *shape, const uint64_t *stride);

/* Copies the elements of `element_bytes` each, in row-major order, from `span` (the bytes of the first
 * element to the last one) to `out`. */
void gather_copy(const unsigned char *span, const struct tensor_shape *shape, const uint64_t *stride,
                 size_t element_bytes, unsigned char *out);

#endif
