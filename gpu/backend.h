/*
 * A compute backend as its implementer sees it: one table of functions. Users of devices include
 * gpu/registry.h.
 *
 * The CPU backend is linked in; the CUDA backend is a separate shared object that exports exactly one symbol,
 * BACKEND_ENTRY_NAME. Rules for both: no exit and no abort, no output, every failure returned as a code with
 * a sentence in `err`, no memory that the other side has to free except through the table.
 */
#ifndef BIFURCATED_GPU_BACKEND_H
#define BIFURCATED_GPU_BACKEND_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct statistics_request;
struct statistics_result;
struct score_config;
struct score_model_source;
struct score_request;
struct score_result;
struct score_need;

/* Raised with every change of the table or of a struct that passes through it. */
#define BACKEND_ABI_VERSION 13

#define BACKEND_WHY_BYTES 512 /* room that callers give to a reason */
#define BACKEND_NAME_BYTES 128

struct backend_description {
    char name[BACKEND_NAME_BYTES]; /* "Intel(R) Xeon(R) Processor, 2 threads, avx512" */
    uint64_t memory_bytes;         /* total memory of the device */
};

struct backend_options {
    int thread_count; /* of the CPU backend: 0 for one per usable processor; others ignore it */
    /* That all contexts of the device together may allocate of its memory, 0: what there is. On the CPU: what
     * a model takes that is scored; its tensors are the caller's. Beyond it calls do with less, or end with
     * ERR_NO_MEMORY. */
    uint64_t memory_bytes_max;
};

struct backend_table {
    uint32_t abi_version; /* BACKEND_ABI_VERSION of the backend */
    uint32_t struct_size; /* sizeof(struct backend_table) of the backend */
    const char *name;     /* "cpu", "cuda" */

    /* Whether this backend can work here: 0, or nonzero with one sentence in why. Cheap; called once. */
    int (*probe)(char *why, size_t why_size);

    /* Number of devices, 0 or more; called after a good probe. */
    int (*device_count)(void);
    int (*device_describe)(int index, struct backend_description *ret_description, struct err *err);

    /* A device context. One thread uses it at a time. ERR_DEVICE_LOST from any call below means that this
     * process cannot use the device any more. device_close takes NULL. */
    int (*device_open)(int index, const struct backend_options *options, void **ret_device, struct err *err);
    void (*device_close)(void *device);

    /* Tensor statistics (gpu/statistics.h). `result` was made by statistics_result_init for the columns of
     * the request; every field is written. On failure its content is undefined, its memory stays the
     * caller's. */
    int (*statistics)(void *device, const struct statistics_request *request,
                      struct statistics_result *result, struct err *err);

    /* Whether models of a checked configuration are computed here: 0, or ERR_UNSUPPORTED with a sentence.
     * (optional) NULL: all are. */
    int (*model_check)(const struct score_config *config, struct err *err);

    /* Model load and score (gpu/score.h).
     * (optional) NULL: this backend measures tensors only; all three are NULL then. model_free takes NULL. */
    int (*model_load)(void *device, const struct score_model_source *source, void **ret_model,
                      struct err *err);
    int (*model_score)(void *model, const struct score_request *request, struct score_result *result,
                       struct err *err);
    void (*model_free)(void *model);

    /* What a loaded model takes, for score_model_source.beside.
     * (optional) NULL: loading takes what scoring needs (the processor, on the CPU). A backend that has it
     * allows two contexts of one device, each used by a thread of its own at the same time. */
    void (*model_need)(void *model, struct score_need *ret_need);
};

/* What a module exports: its table, or NULL if it does not know the host's version. The table lives as long
 * as the process. */
#define BACKEND_ENTRY_NAME "bifurcated_backend"
const struct backend_table *bifurcated_backend(uint32_t host_abi_version);

#endif
