/*
 * Tensors in memory, shared by the tasks that need them.
 *
 * A task measures its revision's tensor against that of the first and of the previous revision; its
 * neighbours need the same ones. The pool loads each once, counts who uses it, and keeps what nobody uses
 * until its budget is needed for others (least recently used goes first).
 *
 * All tensors of a task are acquired together, so tasks never wait for memory while they hold some: there is
 * no deadlock whatever the budget. A single task may exceed the budget when nothing else is in use, so work
 * always goes on. One that waits for room is passed by others that fit, but not for ever.
 */
#ifndef BIFURCATED_MEASURE_TENSOR_POOL_H
#define BIFURCATED_MEASURE_TENSOR_POOL_H

#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "gpu/tensor.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct tensor_pool;

/* A tensor in memory. Filled by the loader, read-only afterwards. */
struct pooled_tensor {
    struct tensor_view view;
    uint64_t size_bytes;
    char digest[DIGEST_SHA256_HEX_SIZE]; /* of the contiguous bytes, by the pool */
    void *data;                          /* = view.data; made by the pool, 64-byte aligned */
    void *private_entry;                 /* the pool's own */
};

/* What to load. `load` fills data (size_bytes of them) and is called without any lock, by the thread that
 * acquires, at most once per key at a time. */
struct tensor_request {
    const char *key; /* equal keys, with equal dtype and matrix, promise equal bytes */
    enum tensor_dtype dtype;
    struct tensor_shape shape;
    uint64_t size_bytes;
    int (*load)(void *context, void *data, uint64_t size_bytes, struct err *err);
    void *context;
};

/* A pool of at most `budget_bytes`. */
int tensor_pool_new(uint64_t budget_bytes, struct tensor_pool **ret_pool, struct err *err);

/* Nothing may be in use. NULL is allowed. */
void tensor_pool_free(struct tensor_pool *pool);

/*
 * Acquires `count` tensors (at most TENSOR_POOL_REQUESTS_MAX): waits for room, loads those that are not
 * there, waits for those that another thread is loading. codes[i] becomes 0 or the error code of request i,
 * with its reason in errs[i]; the others are acquired nevertheless. ret_tensors[i] is NULL where codes[i] is
 * not 0. The caller releases each tensor that it got. Returns 0, or ERR_CANCELLED if *cancel became true
 * while waiting for room (then nothing is held); codes[i] is ERR_CANCELLED where another thread was still
 * loading when it became true.
 */
#define TENSOR_POOL_REQUESTS_MAX 4
int tensor_pool_acquire(struct tensor_pool *pool, const struct tensor_request *requests, size_t count,
                        const atomic_bool *cancel, struct pooled_tensor **ret_tensors, int *codes,
                        struct err *errs);

/* Acquires what is in memory already, without waiting; NULL if it is not. The caller releases it soon: others
 * may wait for its room. */
struct pooled_tensor *tensor_pool_find(struct tensor_pool *pool, const struct tensor_request *request);

/* Its bytes are not what they should be, for that reason, which those are told who wait for it: from now on
 * it is loaded again for whoever asks. The caller still releases it. */
void tensor_pool_distrust(struct tensor_pool *pool, struct pooled_tensor *tensor, const struct err *reason);

/* NULL is allowed. */
void tensor_pool_release(struct tensor_pool *pool, struct pooled_tensor *tensor);

/* How many wait for room (for tests of threads). */
int tensor_pool_count_waiting(struct tensor_pool *pool);

/* Wakes waiting threads so that they look at their cancel flags. */
void tensor_pool_wake(struct tensor_pool *pool);

/* Bytes in memory, used or kept. */
uint64_t tensor_pool_size(struct tensor_pool *pool);

#endif
