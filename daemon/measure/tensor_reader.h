/*
 * Tensors of a checkpoint into memory, by several threads.
 *
 * Reading a file that the system has in memory costs its copy and, several times as much, the pages that it
 * is copied into. Both are shared here: tensors that lie contiguous in a file are cut into pieces of a few
 * MiB, which threads take in order and read into their final place, each byte once. What comes over the
 * network or has to be gathered is read by the caller's thread, whose source fetches in parallel itself.
 */
#ifndef BIFURCATED_MEASURE_TENSOR_READER_H
#define BIFURCATED_MEASURE_TENSOR_READER_H

#include "daemon/base/err.h"
#include "daemon/checkpoint/checkpoint.h"

#include <stdatomic.h>
#include <stddef.h>

#define TENSOR_READER_THREADS_MAX 8

/* One tensor; everything is borrowed. */
struct tensor_read {
    struct checkpoint *checkpoint; /* of a copy: NULL will do */
    const struct checkpoint_tensor *tensor;
    const void *copy_of; /* its bytes where they are in memory already: then nothing is read. Or NULL */
    void *data;          /* [tensor->size_bytes], filled */
};

/* Who is told of each tensor that is there: by the caller's thread, in the order of the list. */
typedef void tensor_reader_note(void *context, size_t index);

/*
 * Reads all of the list, with so many threads, of which the caller is one: 0 for as many as pay off on this
 * machine, at most TENSOR_READER_THREADS_MAX. A thread that cannot be made is one less. `note` may be NULL.
 * ERR_CANCELLED as soon as *cancel, or NULL, is true; what the checkpoint reports of one of them. After an
 * error nothing more is written, and what was filled is undefined.
 */
int tensor_reader_run(const struct tensor_read *reads, size_t count, int thread_count,
                      const atomic_bool *cancel, tensor_reader_note *note, void *context, struct err *err);

#endif
