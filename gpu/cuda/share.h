/*
 * What the contexts of one GPU take together in this process, and no more than the option device-memory-mb
 * (backend_options.memory_bytes_max) lets them. Counted is what is allocated from their pools; what the pools
 * keep beyond that is given back before it would be too much. Not counted are CUDA's own context, code and
 * pinned memory, which are there before anything is allocated, and what a pool has of its last piece of
 * memory (it grows by 32 MiB) beside what is in use.
 */
#ifndef BIFURCATED_GPU_CUDA_SHARE_H
#define BIFURCATED_GPU_CUDA_SHARE_H

#include "daemon/base/err.h"
#include "gpu/cuda/device.h"

#include <stddef.h>
#include <stdint.h>

#define SHARE_CONTEXTS_MAX 8 /* of one GPU */

/* Takes part, once the device has a pool; ERR_LIMIT where too many do. Leaving twice, or without having
 * joined, is allowed. */
int share_join(struct cuda_device *device, struct err *err);
void share_leave(struct cuda_device *device);

/* Asks for memory before it is allocated, and makes pools give back what they keep if it is needed, if need
 * be once all contexts have done what they were given: ERR_NO_MEMORY where the limit does not allow so much.
 * What is claimed is given back by share_return, after it was freed in the order of the device's stream. */
int share_claim(struct cuda_device *device, size_t size_bytes, struct err *err);
void share_return(struct cuda_device *device, size_t size_bytes);

/* After an allocation, which may have made a pool grow by more than was asked for. */
void share_settle(struct cuda_device *device);

/* What may still be claimed; UINT64_MAX without a limit. */
uint64_t share_left(struct cuda_device *device);

/* What to do about memory that is not there, to end a sentence with. */
const char *share_remedy(const struct cuda_device *device);

#endif
