/*
 * The index of a sharded checkpoint, model.safetensors.index.json or pytorch_model.bin.index.json:
 * {"metadata": {...}, "weight_map": {tensor: file}}.
 */
#ifndef BIFURCATED_CHECKPOINT_SHARD_INDEX_H
#define BIFURCATED_CHECKPOINT_SHARD_INDEX_H

#include "daemon/base/err.h"

#include <stddef.h>

struct shard_index_entry {
    char *tensor;
    size_t file; /* into files */
};

struct shard_index {
    struct shard_index_entry *entries; /* sorted by tensor */
    size_t entry_count;
    char **files; /* sorted, each once, each a safe relative path */
    size_t file_count;
};

/* Reads an index from text in memory. ERR_FORMAT for what is no index or names a file outside of the
 * revision, ERR_LIMIT for too many tensors or files. The caller frees *ret_index. */
int shard_index_parse(const char *json, size_t size, struct shard_index **ret_index, struct err *err);

/* The entry of a tensor, or NULL. */
const struct shard_index_entry *shard_index_find(const struct shard_index *index, const char *tensor);

/* NULL is allowed. */
void shard_index_free(struct shard_index *index);

#endif
