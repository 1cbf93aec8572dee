/*
 * The tensors of a distributed checkpoint (chunk_index.h), put together from chunks in several files. Private
 * to checkpoint.c.
 *
 * Opening reads the metadata alone (chunk_shelf.h). A chunk is what torch.save writes for a tensor, at some
 * offset of a file with many such: it is opened when bytes of it are wanted, must have the dtype and the size
 * that the metadata says, and only as much of it is read as is asked for (its whole where it is small). Files
 * are opened when a chunk of them is wanted, and no more than a few are open at a time. Where they come over
 * the network, a whole tensor is fetched from several at once (spread_fetch.h).
 */
#ifndef BIFURCATED_CHECKPOINT_SPREAD_H
#define BIFURCATED_CHECKPOINT_SPREAD_H

#include "daemon/checkpoint/checkpoint.h"
#include "daemon/checkpoint/chunk_index.h"

struct spread;

/* Reads the metadata of this name, beside which the files lie. `files` is copied; its context must outlive
 * *ret_spread, which the caller closes. */
int spread_open(const struct checkpoint_files *files, const char *metadata, struct spread **ret_spread,
                struct err *err);

/* NULL is allowed. */
void spread_close(struct spread *spread);

/* What there is. */
const struct chunk_index *spread_index(const struct spread *spread);

/* Reads `size` of a tensor's contiguous bytes from `offset`. */
int spread_read(struct spread *spread, size_t number, uint64_t offset, void *data, size_t size,
                struct err *err);

/* Whether all files are there, and none ends before its last chunk does. */
int spread_check_files(struct spread *spread, struct err *err);

#endif
