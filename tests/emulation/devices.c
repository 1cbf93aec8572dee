#include "tests/emulation/devices.h"

#include <string.h>

#define KIB ((size_t)1 << 10)
#define GIB ((uint64_t)1 << 30)

/* Slices of a GPU (MIG) have a part of its multiprocessors and memory, and the same multiprocessors. */
const struct emulation_gpu emulation_gpus[] = {
    {"t4", "Tesla T4", 75, 40, 64 * KIB, 16 * GIB},
    {"a100", "NVIDIA A100-SXM4-80GB", 80, 108, 163 * KIB, 80 * GIB},
    {"a100-1g", "NVIDIA A100-SXM4-40GB MIG 1g.5gb", 80, 14, 163 * KIB, 5 * GIB},
    {"a10", "NVIDIA A10", 86, 72, 99 * KIB, 24 * GIB},
    {"orin", "Orin", 87, 16, 163 * KIB, 32 * GIB},
    {"l4", "NVIDIA L4", 89, 58, 99 * KIB, 24 * GIB},
    {"h100", "NVIDIA H100 80GB HBM3", 90, 132, 227 * KIB, 80 * GIB},
    {"h100-1g", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", 90, 16, 227 * KIB, 10 * GIB},
    {"b200", "NVIDIA B200", 100, 148, 227 * KIB, 180 * GIB},
    {"rtx5090", "NVIDIA GeForce RTX 5090", 120, 170, 99 * KIB, 32 * GIB},
    {NULL, NULL, 0, 0, 0, 0},
};

const struct emulation_gpu *emulation_gpu_find(const char *key)
{
    for (const struct emulation_gpu *gpu = emulation_gpus; gpu->key; gpu++)
        if (strcmp(gpu->key, key) == 0)
            return gpu;
    return NULL;
}

void emulation_gpu_take(const struct emulation_gpu *gpu, struct emulation_device *device)
{
    device->name = gpu->name;
    device->capability = gpu->capability;
    device->multiprocessor_count = gpu->multiprocessor_count;
    device->shared_bytes_max = gpu->shared_bytes_max;
    device->memory_bytes = gpu->memory_bytes;
}
