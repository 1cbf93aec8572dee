/*
 * The embeddings and the output layer of several ranks' files. Private to ranks.c.
 */
#ifndef BIFURCATED_CHECKPOINT_RANKS_JOIN_H
#define BIFURCATED_CHECKPOINT_RANKS_JOIN_H

#include "daemon/checkpoint/shard.h"
#include "daemon/checkpoint/state_dict.h"

#define RANKS_JOIN_ENDS 2 /* the first layer or stage, and the last one */

/* The open files of one end. */
struct ranks_end {
    char *prefix;          /* of its tensors' names; "" */
    char **paths;          /* of each rank */
    struct shard **shards; /* of each rank */
};

struct ranks_tensor {
    char *name;
    const char *foreign; /* a dtype or form that is not read, so that what follows means nothing; else NULL */
    enum tensor_dtype dtype;
    struct tensor_shape shape;
    uint64_t size_bytes, part_bytes; /* of all ranks, of one */
    const struct ranks_end *end;
    size_t *indexes; /* of each rank's tensors: which it is */
};

struct ranks_join {
    struct ranks_tensor *tensors; /* sorted by name */
    size_t count;
};

/* Finds them in one or two ends; what is in both is the first one's. The ends must outlive *ret_join's
 * content, which is freed by ranks_join_done, also after an error. ERR_MISMATCH where the ranks disagree, or
 * the rows are not those that are told (padded_rows; 0: nothing is). */
int ranks_join_find(const struct ranks_end *ends, int end_count, int rank_count, int64_t padded_rows,
                    struct ranks_join *ret_join, struct err *err);

void ranks_join_done(struct ranks_join *join);

#endif
