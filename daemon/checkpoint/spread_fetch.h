/*
 * Fetching a whole tensor of chunks from several files at once: each chunk costs a round trip or three, which
 * one after the other would take longer than the bytes. Private to spread.c.
 *
 * One of a few threads takes a file and reads what chunks of the tensor are in it, in order. Beside the
 * tensor, memory is needed for one chunk of each thread, at most 8 MiB (of a larger one, its ends).
 */
#ifndef BIFURCATED_CHECKPOINT_SPREAD_FETCH_H
#define BIFURCATED_CHECKPOINT_SPREAD_FETCH_H

#include "daemon/base/err.h"
#include "daemon/base/source.h"
#include "daemon/checkpoint/chunk_index.h"

#include <stddef.h>

#define SPREAD_FETCH_THREADS 8

struct spread_fetch;

/* Which files a tensor's chunks are in. The caller frees *ret_fetch; the tensor is borrowed. */
int spread_fetch_plan(const struct chunk_index_tensor *tensor, struct spread_fetch **ret_fetch,
                      struct err *err);

void spread_fetch_free(struct spread_fetch *fetch);

size_t spread_fetch_file_count(const struct spread_fetch *fetch);

/* Opens a file, or says which source it is if it is open; of one file asked once in a run. */
typedef int spread_fetch_open(void *context, size_t file, struct source **ret_source, struct err *err);

/* Reads what `count` of the files from the first on hold of the tensor into `data`, which is its whole. Of
 * several that fail, the error is the first file's. */
int spread_fetch_run(struct spread_fetch *fetch, size_t first, size_t count, spread_fetch_open *open,
                     void *context, void *data, struct err *err);

#endif
