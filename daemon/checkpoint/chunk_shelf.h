/*
 * The metadata of distributed checkpoints that are open, and of those that were lately: each is parsed once,
 * however many read the checkpoint and however many of its tensors. Safe for threads.
 *
 * Parsing takes ten times as much memory as the file, which no budget counts (340 MB for 33 MB): so one is
 * parsed at a time, and whoever wants the same waits for it. What nobody has open any more is kept up to
 * CHUNK_SHELF_BYTES.
 */
#ifndef BIFURCATED_CHECKPOINT_CHUNK_SHELF_H
#define BIFURCATED_CHECKPOINT_CHUNK_SHELF_H

#include "daemon/base/err.h"
#include "daemon/checkpoint/checkpoint.h"
#include "daemon/checkpoint/chunk_index.h"

#define CHUNK_SHELF_BYTES (64 * MIB)

/* The parsed metadata of this name, by its `files`; without files->content it is the caller's alone. To be
 * given back by chunk_shelf_give(). */
int chunk_shelf_take(const struct checkpoint_files *files, const char *metadata,
                     const struct chunk_index **ret_index, struct err *err);

/* NULL is allowed. */
void chunk_shelf_give(const struct chunk_index *index);

#endif
