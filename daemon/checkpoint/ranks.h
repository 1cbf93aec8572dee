/*
 * The files of DeepSpeed, GPT-NeoX and Megatron, of which each rank of model parallelism writes its own
 * (ranks_grid.h). Private to checkpoint.c.
 *
 * Where one file holds the whole model, it is a shard like any other. Else the embeddings and the output
 * layer alone are read, which the ranks of tensor parallelism hold by rows, the first rank the first ones,
 * each as many (Megatron's VocabParallelEmbedding and ColumnParallelLinear; GPT-NeoX's ParallelLinear), with
 * rows beyond the vocabulary at the end. How other tensors are cut depends on what they are of, and in which
 * layer, which the files do not say. Of a pipeline the first stage or layer has the embedding, the last one
 * the output layer.
 */
#ifndef BIFURCATED_CHECKPOINT_RANKS_H
#define BIFURCATED_CHECKPOINT_RANKS_H

#include "daemon/checkpoint/checkpoint.h"
#include "daemon/checkpoint/shard.h"

struct ranks;

struct ranks_tensor;

/* The file, beside which the other ranks' lie, is that of the first rank. *ret_ranks becomes NULL where it is
 * the only one. ERR_NOT_FOUND names a rank's file that is missing. */
int ranks_open(const struct checkpoint_files *files, const char *path, struct ranks **ret_ranks,
               struct err *err);

/* NULL is allowed. */
void ranks_close(struct ranks *ranks);

/* Whether the only file, which `shard` has open, says that there are more. */
int ranks_check_alone(const struct checkpoint_files *files, const char *path, const struct shard *shard,
                      struct err *err);

/* The tensors that are read, sorted by name. */
size_t ranks_count(const struct ranks *ranks);
const char *ranks_name(const struct ranks *ranks, size_t number);

/* Whether there is such a tensor; then *ret_number is set. */
int ranks_find(const struct ranks *ranks, const char *name, size_t *ret_number);

/* Describes it but for its number; `foreign` becomes why it is not read, else NULL. */
void ranks_describe(const struct ranks *ranks, size_t number, struct checkpoint_tensor *ret_tensor,
                    const char **ret_foreign);

int ranks_read(struct ranks *ranks, size_t number, uint64_t offset, void *data, size_t size, struct err *err);
void ranks_will_need(struct ranks *ranks, size_t number);

/* Opens all files, also those of which no tensor is read. */
int ranks_check_files(struct ranks *ranks, struct err *err);

/* The first rank's file in the folder that DeepSpeed's "latest" names, for the caller to free. ERR_NOT_FOUND:
 * there is none. */
int ranks_follow(const struct checkpoint_files *files, const char *pointer, char **ret_path, struct err *err);

#endif
