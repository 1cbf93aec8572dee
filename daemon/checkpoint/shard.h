/*
 * One open file of a checkpoint, of either format: its tensors and their bytes. Private to checkpoint.c and
 * spread.c, for which a part of a file is one.
 */
#ifndef BIFURCATED_CHECKPOINT_SHARD_H
#define BIFURCATED_CHECKPOINT_SHARD_H

#include "daemon/base/err.h"
#include "daemon/base/source.h"
#include "gpu/tensor.h"

#include <stddef.h>
#include <stdint.h>

enum shard_format {
    SHARD_FORMAT_SAFETENSORS,
    SHARD_FORMAT_TORCH_ZIP,     /* a state dict of torch.save */
    SHARD_FORMAT_TORCH_TRAINER, /* the same among what else a trainer keeps */
    SHARD_FORMAT_TORCH_TENSOR,  /* torch.save of one tensor, named STATE_DICT_ROOT */
};

struct shard_tensor {
    const char *name; /* borrowed from the shard, as the next */
    const char
        *same_as; /* the first name, by bytes, of the same bytes in the file; NULL: it is that itself */
    const char
        *foreign; /* a dtype or form that is not read here, so that the rest means nothing; else NULL */
    enum tensor_dtype dtype;
    struct tensor_shape shape;
    uint64_t size_bytes; /* contiguous */
    int is_contiguous;
    int is_repeating; /* its elements claim more bytes than its storage has */
};

struct shard;
struct state_dict_told;

/* Opens a file of a known format. Takes over `source`, also when it fails. */
int shard_open(struct source *source, enum shard_format format, struct shard **ret_shard, struct err *err);

/* NULL is allowed. */
void shard_close(struct shard *shard);

/* The tensors, sorted by name. */
size_t shard_count(const struct shard *shard);
const char *shard_name(const struct shard *shard, size_t index);

/* Whether there is such a tensor; then *ret_index is set. */
int shard_find(const struct shard *shard, const char *name, size_t *ret_index);

/* Describes a tensor. */
void shard_describe(const struct shard *shard, size_t index, struct shard_tensor *ret_tensor);

/* What a trainer's file says of how the model is divided; NULL: it is of another format. */
const struct state_dict_told *shard_told(const struct shard *shard);

/* Reads `size` of the tensor's contiguous bytes from `offset`. */
int shard_read(struct shard *shard, size_t index, uint64_t offset, void *data, size_t size, struct err *err);

/* Announces the reading of a tensor. */
void shard_will_need(struct shard *shard, size_t index);

/* Where the contiguous bytes lie, if they do, in a source that several threads may read at once; else 0, also
 * where shard_read would report an error. */
int shard_locate(struct shard *shard, size_t index, struct source **ret_source, uint64_t *ret_offset);

/* The contiguous bytes in place, or NULL. */
const void *shard_map(struct shard *shard, size_t index);

#endif
