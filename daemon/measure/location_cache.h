/*
 * Where tensors were found lately: neighbouring tasks need the same tensor as reference and do not read its
 * header again. Of two tasks that look for a tensor of a revision at the same time, one reads and the other
 * waits and finds it here.
 */
#ifndef BIFURCATED_MEASURE_LOCATION_CACHE_H
#define BIFURCATED_MEASURE_LOCATION_CACHE_H

#include "daemon/base/err.h"
#include "daemon/base/keyed_lock.h"
#include "daemon/base/limits.h"
#include "gpu/tensor.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdint.h>

struct location_cache;

/* What a header told. */
struct located_tensor {
    int64_t revision_id;
    char tensor[LIMIT_TENSOR_NAME_BYTES + 1];
    char file[LIMIT_FILE_NAME_BYTES + 1];
    char file_digest[STORE_DIGEST_SIZE];
    enum tensor_dtype dtype;
    struct tensor_shape shape;
    uint64_t size_bytes;
};

int location_cache_new(struct location_cache **ret_cache, struct err *err);

/* NULL is allowed. */
void location_cache_free(struct location_cache *cache);

/* Locks the tensor own->name of the revision own->number; whoever finds nothing while holding the lock reads
 * the header and puts what it told. ERR_CANCELLED as keyed_locks_take(). */
int location_cache_lock(struct location_cache *cache, struct keyed_lock *own, const atomic_bool *cancel,
                        struct err *err);
void location_cache_unlock(struct location_cache *cache, struct keyed_lock *own);

/* Whether the tensor is known; then *ret_found is a copy. */
int location_cache_get(struct location_cache *cache, int64_t revision_id, const char *tensor,
                       struct located_tensor *ret_found);

/* Keeps a copy in place of the oldest. */
void location_cache_put(struct location_cache *cache, const struct located_tensor *found);

#endif
