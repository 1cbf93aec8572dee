/*
 * One chunk of a tensor of a distributed checkpoint, open, and what of it is wanted. Private to spread*.c.
 */
#ifndef BIFURCATED_CHECKPOINT_SPREAD_PART_H
#define BIFURCATED_CHECKPOINT_SPREAD_PART_H

#include "daemon/base/err.h"
#include "daemon/base/source.h"
#include "daemon/checkpoint/chunk_index.h"

#include <stddef.h>
#include <stdint.h>

struct shard;

struct spread_part {
    const struct chunk_index_chunk *chunk; /* NULL: none is open */
    struct shard *shard;
    unsigned char *whole; /* its bytes, if they were fetched at once */
};

/* Opens a chunk in its file, which must stay open for as long. What fails is said of the chunk
 * (spread_part_blame). */
int spread_part_open(struct source *file, const struct chunk_index_tensor *tensor,
                     const struct chunk_index_chunk *chunk, struct spread_part *ret_part, struct err *err);

/* Works on a zeroed one, too. */
void spread_part_close(struct spread_part *part);

/* Whether a chunk holds any of the bytes [begin, end) of the tensor. */
int spread_part_overlaps(const struct chunk_index_tensor *tensor, const struct chunk_index_chunk *chunk,
                         uint64_t begin, uint64_t end);

/* Reads what the part, which overlaps, holds of [begin, end), which starts at `data`. */
int spread_part_read(const struct spread_part *part, const struct chunk_index_tensor *tensor, uint64_t begin,
                     uint64_t end, unsigned char *data, struct err *err);

/* Says of an error which chunk it was. Returns its code. */
int spread_part_blame(const struct chunk_index_tensor *tensor, const struct chunk_index_chunk *chunk,
                      struct err *err);

#endif
