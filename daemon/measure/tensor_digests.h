/*
 * SHA-256 of many tensors by several threads, while the caller still reads the next ones.
 *
 * Each tensor has a digest of its own, so they are independent: what comes out is what digest_sha256_hex()
 * gives for each, whatever the number of threads. The caller is one of them, once it has nothing left to add.
 */
#ifndef BIFURCATED_MEASURE_TENSOR_DIGESTS_H
#define BIFURCATED_MEASURE_TENSOR_DIGESTS_H

#include "daemon/base/digest.h"
#include "daemon/base/err.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define TENSOR_DIGESTS_THREADS_MAX 8

struct tensor_digests;

/* For `count` tensors of `total_bytes` together, with so many threads: 0 for as many as pay off on this
 * machine, at most TENSOR_DIGESTS_THREADS_MAX. A thread that cannot be made is one less. *cancel, or NULL,
 * ends the work early. The caller frees. */
int tensor_digests_new(size_t count, uint64_t total_bytes, int thread_count, const atomic_bool *cancel,
                       struct tensor_digests **ret_digests, struct err *err);

/* Adds the next tensor, at most `count` of them, which stays as it is until tensor_digests_free. */
void tensor_digests_add(struct tensor_digests *digests, const void *data, size_t size);

/* Adds the next tensor, whose digest is known: nothing is hashed. */
void tensor_digests_add_known(struct tensor_digests *digests, const char *hex);

/* Waits for all that were added. ERR_CANCELLED. */
int tensor_digests_finish(struct tensor_digests *digests, struct err *err);

/* After that: of the tensor that was added as number `index`; borrowed. */
const char *tensor_digests_hex(const struct tensor_digests *digests, size_t index);

/* Ends threads, which look up from a tensor every few MiB. NULL is allowed. */
void tensor_digests_free(struct tensor_digests *digests);

#endif
