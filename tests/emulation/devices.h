/*
 * GPUs that the module is made for, as the emulation needs them: what NVIDIA's data sheets and the
 * programming guide's table of compute capabilities say. Shared memory is that of a block after opting in.
 */
#ifndef BIFURCATED_TESTS_EMULATION_DEVICES_H
#define BIFURCATED_TESTS_EMULATION_DEVICES_H

#include "tests/emulation/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

struct emulation_gpu {
    const char *key; /* "a100" */
    const char *name;
    int capability; /* 10 * major + minor */
    int multiprocessor_count;
    size_t shared_bytes_max;
    uint64_t memory_bytes;
};

/* Ends with a key that is NULL. */
extern const struct emulation_gpu emulation_gpus[];

/* NULL if there is no such key. */
const struct emulation_gpu *emulation_gpu_find(const char *key);

/* Makes `device` one of these; what else it has stays. */
void emulation_gpu_take(const struct emulation_gpu *gpu, struct emulation_device *device);

#ifdef __cplusplus
}
#endif

#endif
