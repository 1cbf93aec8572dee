/*
 * What measuring needs beside a store: the hub, a compute device, memory for tensors, and the caches that
 * tasks share. The daemon has one for its local workers and its planner, a remote worker has one of its own.
 */
#ifndef BIFURCATED_MEASURE_ENGINE_H
#define BIFURCATED_MEASURE_ENGINE_H

#include "daemon/base/err.h"
#include "daemon/measure/measure.h"
#include "daemon/options/options.h"
#include "gpu/registry.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* How a device is opened. */
struct backend_options engine_backend_options(const struct options *options);

/* What the tensor pool may hold: memory-mb, else a share of the machine's memory that leaves room for as many
 * processes as there are GPUs. *ret_machine_bytes is 0 where the machine does not say how much it has. */
uint64_t engine_tensor_bytes(const struct options *options, const struct registry *registry,
                             uint64_t *ret_machine_bytes);

struct engine {
    struct hub *hub;
    struct registry *registry;
    struct device *device, *second; /* contexts of it; the second one NULL on the CPU */
    struct device_turns *turns;
    struct scorers *scorers;
    struct tensor_pool *pool;
    struct references *references;
    struct location_cache *locations;
    struct data_cache *data;
    struct file_digests *digests;
    struct passages_cache *passages;
    _Atomic int64_t device_busy_us;
    int request_budget; /* these two for what is said of a wait */
    int64_t cache_budget_mb;
    atomic_bool has_hub_token; /* the same */
    int is_temporary;          /* set before it is opened: its folder goes with the process */
    int is_of_worker; /* set before it is opened: a daemon has work from the hub, so the hub must be there */
};

/* Opens all parts as the options say, and logs which device and hub they are; `state` is the folder for what
 * the hub's client keeps. The struct must not move afterwards. The caller closes it, also after an error. */
int engine_open(struct engine *engine, const struct options *options, const char *state, struct err *err);

/* What tasks share, over a store. */
void engine_share(struct engine *engine, struct store *store, struct measure_shared *shared);

/* Nobody may use the parts any more. A zeroed struct is allowed. */
void engine_close(struct engine *engine);

#endif
