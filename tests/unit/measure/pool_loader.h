/*
 * Tensors of a few bytes for the pool: a loader that counts, fails or waits as it is told.
 */
#ifndef BIFURCATED_TESTS_POOL_LOADER_H
#define BIFURCATED_TESTS_POOL_LOADER_H

#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/measure/tensor_pool.h"

#include <stdbool.h>

#define UNIT 1000 /* bytes of the usual tensor */

/* Fills with a byte; counts; may fail, or wait at a gate. */
struct loader {
    unsigned char byte;
    _Atomic int count;
    int failure;
    atomic_bool *gate;    /* wait until true */
    atomic_bool *arrived; /* set when the load began */
};

static inline int load(void *context, void *data, uint64_t size_bytes, struct err *err)
{
    struct loader *loader = context;
    atomic_fetch_add(&loader->count, 1);
    if (loader->arrived)
        atomic_store(loader->arrived, true);
    while (loader->gate && !atomic_load(loader->gate))
        clock_sleep_ms(1);
    if (loader->failure)
        return err_set(err, loader->failure, "the loader of %d fails", loader->byte);
    memset(data, loader->byte, (size_t)size_bytes);
    return 0;
}

static inline struct tensor_request request_of(const char *key, struct loader *loader, uint64_t size_bytes)
{
    return (struct tensor_request){
        .key = key,
        .dtype = TENSOR_DTYPE_U8,
        .shape = {.ndim = 2, .dim = {1, size_bytes}},
        .size_bytes = size_bytes,
        .load = load,
        .context = loader,
    };
}

/* Acquires one; NULL with its error in *err. */
static inline struct pooled_tensor *take(struct tensor_pool *pool, const char *key, struct loader *loader,
                                         uint64_t size_bytes, struct err *err)
{
    struct tensor_request request = request_of(key, loader, size_bytes);
    struct pooled_tensor *tensor = NULL;
    int code = 0;
    *err = (struct err)ERR_INIT;
    assert_int_equal(tensor_pool_acquire(pool, &request, 1, NULL, &tensor, &code, err), 0);
    assert_int_equal(code, err->code);
    assert_true((code == 0) == (tensor != NULL));
    return tensor;
}

static inline struct pooled_tensor *take_good(struct tensor_pool *pool, const char *key,
                                              struct loader *loader)
{
    struct err err;
    struct pooled_tensor *tensor = take(pool, key, loader, UNIT, &err);
    assert_non_null(tensor);
    return tensor;
}

/* Whether a usual tensor is there. */
static inline int has(struct tensor_pool *pool, const char *key)
{
    struct tensor_request request = request_of(key, NULL, UNIT);
    struct pooled_tensor *found = tensor_pool_find(pool, &request);
    tensor_pool_release(pool, found);
    return found != NULL;
}

static inline void wait_for(atomic_bool *flag)
{
    while (!atomic_load(flag))
        clock_sleep_ms(1);
}

static inline struct tensor_pool *new_pool(uint64_t budget_bytes)
{
    struct tensor_pool *pool = NULL;
    OK(tensor_pool_new(budget_bytes, &pool, &err));
    return pool;
}

#endif
