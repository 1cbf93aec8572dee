/*
 * The registry of compute devices: "cpu" always, "cuda:N" where the CUDA module loads and finds devices. It
 * also keeps the reason, as one sentence, why a kind of device is absent; the API and the log show it.
 *
 * A module is looked for at one absolute path and nowhere else. It is never unloaded: threads of a
 * driver may still run inside of it.
 */
#ifndef BIFURCATED_GPU_REGISTRY_H
#define BIFURCATED_GPU_REGISTRY_H

#include "daemon/base/err.h"
#include "gpu/backend.h"
#include "gpu/statistics.h"

#include <stddef.h>
#include <stdint.h>

#define REGISTRY_DEVICES_MAX 64
#define REGISTRY_ID_BYTES 32

struct registry; /* the list */
struct device;   /* an opened device */

struct registry_device {
    char id[REGISTRY_ID_BYTES]; /* "cpu", "cuda:0" */
    char backend[16];           /* "cpu", "cuda": the backend column of results */
    struct backend_description description;
};

/* Where the CUDA module is: `option` if not NULL or empty, else the environment's BIFURCATED_CUDA_MODULE,
 * else the path of this build ("" if it has none). Borrowed. */
const char *registry_module_path(const char *option);

/* Lists devices: those of `cpu` (the linked-in backend, gpu/cpu/backend.h), then those of the module at
 * `module_path` (absolute; NULL or "" for none). Only memory or a broken `cpu` make it fail: a module that
 * cannot be used becomes a reason. */
int registry_new(const struct backend_table *cpu, const char *module_path, struct registry **ret_registry,
                 struct err *err);

/* Frees the list; opened devices stay valid. NULL is allowed. */
void registry_free(struct registry *registry);

size_t registry_device_count(const struct registry *registry);

/* Borrowed; NULL if there is no such index. */
const struct registry_device *registry_device_at(const struct registry *registry, size_t index);

/* Why there is no CUDA device: one sentence, or "" if there is one. Borrowed. */
const char *registry_absence(const struct registry *registry);

/* Opens "cpu", "cuda:N", "cuda" (the first), or "auto" (the first CUDA device that can be opened, else the
 * CPU). ERR_NOT_FOUND names the reason of absence. The device outlives the registry; device_close takes NULL.
 */
int device_open(const struct registry *registry, const char *id, const struct backend_options *options,
                struct device **ret_device, struct err *err);
void device_close(struct device *device);

/* Why "auto" opened this device and not an earlier one: a sentence, or "". Borrowed. */
const char *device_passed_over(const struct device *device);

/* How much of the device's memory it was opened with (backend_options.memory_bytes_max); 0: no limit. */
uint64_t device_memory_bytes_max(const struct device *device);

/* What was opened; borrowed. */
const struct registry_device *device_info(const struct device *device);

/* The table and context behind a device, for the layers that drive models (gpu/score.h). Borrowed. */
const struct backend_table *device_backend(const struct device *device);
void *device_context(const struct device *device);

/* One pass of tensor statistics: checks the request and calls the backend. One thread at a time per device.
 */
int device_statistics(struct device *device, const struct statistics_request *request,
                      struct statistics_result *result, struct err *err);

#endif
