/*
 * The metadata of a checkpoint of torch.distributed.checkpoint: which tensors there are, into which chunks
 * each is cut, and in which file each chunk lies.
 *
 * The file ".metadata" is a pickle of `Metadata` (torch/distributed/checkpoint/metadata.py):
 * state_dict_metadata says of each tensor its dtype, its size and its chunks (where each begins, and its
 * size); storage_data says of each chunk the file, and the bytes of it that hold the chunk (_StorageInfo of
 * filesystem.py). Older versions and OLMo-core write it alike, but for the module that some classes are in:
 * torch 2.15's files are tested, the others by what their sources say. Values that are no tensors are passed
 * over.
 */
#ifndef BIFURCATED_CHECKPOINT_CHUNK_INDEX_H
#define BIFURCATED_CHECKPOINT_CHUNK_INDEX_H

#include "daemon/base/err.h"
#include "gpu/tensor.h"

#include <stddef.h>
#include <stdint.h>

struct chunk_index_chunk {
    const uint64_t *offset, *size; /* in elements, along each dimension of the tensor; inside of it */
    size_t file;                   /* into files */
    uint64_t begin, length;        /* of its bytes in the file, which are those of torch.save */
};

struct chunk_index_tensor {
    char *name;
    const char *foreign; /* a dtype or form that is not read here, so that the rest means nothing (static
                          * text); else NULL */
    enum tensor_dtype dtype;
    struct tensor_shape shape;
    uint64_t size_bytes;
    struct chunk_index_chunk *chunks; /* of those that hold elements, each once; in no order */
    size_t chunk_count;
    uint64_t *places; /* what the chunks' offsets and sizes point to */
};

struct chunk_index {
    struct chunk_index_tensor *tensors; /* sorted by name */
    size_t count;
    char **files; /* sorted, each once, each a safe relative path, from where the metadata lies */
    size_t file_count;
    uint64_t *ends; /* of each file, where its last chunk ends */
};

/* Reads .metadata from memory; errors as pickle_load. The caller frees *ret_index. */
int chunk_index_parse(const void *data, size_t size, struct chunk_index **ret_index, struct err *err);

/* NULL is allowed. */
void chunk_index_free(struct chunk_index *index);

/* How many bytes of memory it takes. */
size_t chunk_index_memory(const struct chunk_index *index);

/* Whether there is such a tensor; then *ret_number is set. */
int chunk_index_find(const struct chunk_index *index, const char *name, size_t *ret_number);

/* Whether the chunks of a tensor hold each of its elements once, in as many bytes at least as that takes: 0,
 * or ERR_FORMAT: some are missing, chunks overlap, or claim too much; ERR_LIMIT where finding that out takes
 * too long. */
int chunk_index_check(const struct chunk_index_tensor *tensor, struct err *err);

/* "[0, 512]" of a place in a tensor of so many dimensions; returns text. */
char *chunk_index_format(const uint64_t *place, int ndim, char *text, size_t size);

#endif
