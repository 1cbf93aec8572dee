/*
 * The header of a safetensors file: u64 length N (little-endian), N bytes of JSON, then the tensors' bytes.
 *
 * The JSON is an object of tensor -> {"dtype", "shape", "data_offsets": [begin, end]}, the offsets counted
 * from the end of the header, and of "__metadata__" -> {text: text}. As in the reference reader, the tensors
 * must fill the rest of the file exactly: no holes, no overlaps, no trailing bytes. Stricter than it: names
 * are limited to those of tensor_name.h, no key may occur twice, and at most LIMIT_TENSOR_DIMS dimensions.
 * More lenient: a dtype that is not known here may be one of a later version, and concerns its tensor alone.
 * Format: https://github.com/huggingface/safetensors (README, "Format").
 */
#ifndef BIFURCATED_CHECKPOINT_SAFETENSORS_H
#define BIFURCATED_CHECKPOINT_SAFETENSORS_H

#include "daemon/base/err.h"
#include "daemon/base/source.h"
#include "gpu/tensor.h"

#include <stddef.h>
#include <stdint.h>

#define SAFETENSORS_PREFIX_BYTES 8

struct safetensors_tensor {
    char *name;
    char *foreign_dtype; /* a dtype that is not known here, so that the next means nothing; else NULL */
    enum tensor_dtype dtype;
    struct tensor_shape shape;
    uint64_t offset;     /* of its first byte, from the beginning of the file */
    uint64_t size_bytes; /* contiguous */
};

struct safetensors {
    struct safetensors_tensor *tensors; /* sorted by name */
    size_t count;
};

/* Reads a header of `size` bytes of JSON that belongs to a file of `file_size` bytes. ERR_FORMAT says what is
 * wrong, ERR_UNSUPPORTED names what cannot be a dtype, ERR_LIMIT a bound. The caller frees *ret_safetensors.
 */
int safetensors_parse(const char *json, size_t size, uint64_t file_size, struct safetensors **ret_safetensors,
                      struct err *err);

/* Reads and parses the header of a source: one read of its beginning, and one more where the header is
 * longer. */
int safetensors_open(struct source *source, struct safetensors **ret_safetensors, struct err *err);

/* NULL is allowed. */
void safetensors_free(struct safetensors *safetensors);

#endif
