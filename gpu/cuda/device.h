/*
 * One GPU as the rest of the module uses it: a stream, a memory pool with accounting, cuBLASLt, and the
 * classification of everything that can go wrong. Two of these on one GPU share nothing but the GPU, so one
 * may load a model while the other one computes.
 *
 * Errors are *refused* (memory, a bad argument: this call failed, the next may work; ERR_NO_MEMORY or
 * ERR_DEVICE) or *lost* (an illegal address, a failed launch, a hardware fault: the context of the process is
 * unusable; ERR_DEVICE_LOST, from now on for every call). An error whose code says neither is lost if the
 * stream still reports it. Nothing here exits, prints or leaves an error behind for a later call to find.
 */
#ifndef BIFURCATED_GPU_CUDA_DEVICE_H
#define BIFURCATED_GPU_CUDA_DEVICE_H

#include "daemon/base/err.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_WORKSPACE_BYTES ((size_t)64 << 20) /* of cuBLASLt */
#define DEVICE_ALIGN_BYTES ((size_t)256)
#define DEVICE_STAGING_THREADS 8
#define DEVICE_STAGING_SLOTS (2 * DEVICE_STAGING_THREADS)
#define DEVICE_STAGING_SLOT_BYTES ((size_t)4 << 20)
#define DEVICE_POOL_KEPT_BYTES ((uint64_t)1 << 30) /* that the pool keeps for the next pass */
#define DEVICE_POOL_KEPT_PARTS 4                   /* of a limit: no more than one of so many */

/* A piece of pinned host memory on its way to the device. */
struct device_slot {
    unsigned char *host;
    cudaEvent_t sent; /* recorded after the copy out of `host` */
};

struct cuda_device {
    int ordinal;               /* CUDA's number */
    uint64_t memory_bytes_max; /* of all contexts of this GPU (gpu/cuda/share.h); 0: no limit */
    int is_sharing;
    uint64_t claimed_bytes; /* allocated, or about to be; share.c's */
    int is_lost;
    pthread_mutex_t lost_mutex; /* is_lost, since staging threads find errors too */
    int multiprocessor_count;
    size_t shared_bytes_max;  /* of one block, after opting in */
    cudaStream_t stream;      /* all kernels */
    cudaStream_t copy_stream; /* weights of streamed models */
    cudaMemPool_t pool;
    cublasLtHandle_t blas;
    void *workspace;                                /* [DEVICE_WORKSPACE_BYTES] of products on `stream` */
    struct device_slot slots[DEVICE_STAGING_SLOTS]; /* two for each thread that fills them */
    unsigned slot_turns[DEVICE_STAGING_THREADS];    /* which of the two is next */
    void *staging;                                  /* the pinned memory behind the slots */
    void *kept;                    /* what outlives a model (score_gemm.c's plans), or NULL */
    void (*free_kept)(void *kept); /* on the host alone: also of a lost device */
    uint64_t allocated_bytes, allocated_max_bytes;
};

/* At most `memory_bytes_max` for all that are open on this GPU; 0: what there is. */
int device_new(int ordinal, uint64_t memory_bytes_max, struct cuda_device **ret_device, struct err *err);

/* Waits for the device unless it is lost. NULL and half-built ones are allowed. */
void device_free(struct cuda_device *device);

/* Makes the device the calling thread's; ERR_DEVICE_LOST if it is lost. First in every call of the table. */
int device_enter(struct cuda_device *device, struct err *err);

/* 0 for success, else the code of the error with `what` in the message; clears CUDA's last error. */
int device_check(struct cuda_device *device, cudaError_t status, const char *what, struct err *err);
int device_check_blas(struct cuda_device *device, cublasStatus_t status, const char *what, struct err *err);

/* Evaluates a CUDA call, and says which one failed. */
#define CUDA_CHECK(device, call, err) device_check((device), (call), #call, (err))
#define BLAS_CHECK(device, call, err) device_check_blas((device), (call), #call, (err))

/* Memory of the device, 256-byte aligned, in the order of `stream`; 0 bytes give one. Where there is none,
 * what the pool keeps is given back and the call is tried once more; beyond the limit nothing is tried.
 * Refusals say what to do (share_remedy). Freed with device_drop, which takes NULL. `ret_memory` is a void **
 * or a pointer to any object pointer cast to it. */
int device_take(struct cuda_device *device, size_t size_bytes, void **ret_memory, struct err *err);
void device_drop(struct cuda_device *device, void *memory, size_t size_bytes);

/* Bytes that may still be allocated: free on the device or kept by the pool, and within the limit. */
int device_room(struct cuda_device *device, uint64_t *ret_bytes, struct err *err);

/* Gives memory that is no longer used back to the driver. */
void device_trim(struct cuda_device *device);

/* Waits for all work of `stream`. */
int device_wait(struct cuda_device *device, struct err *err);

/* `size_bytes` as device_take counts it. */
static inline size_t device_rounded(size_t size_bytes)
{
    return size_bytes ? (size_bytes + DEVICE_ALIGN_BYTES - 1) / DEVICE_ALIGN_BYTES * DEVICE_ALIGN_BYTES
                      : DEVICE_ALIGN_BYTES;
}

#endif
