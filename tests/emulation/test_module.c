/*
 * The whole CUDA module on the emulated runtime: the cases of tests/gpu against the CPU backend, in several
 * orders of everything that CUDA does not order, and what happens when memory or the device is refused or
 * lost.
 *
 *     emulation_module [seed=N] [only=TEXT] [lacks=N]
 */
#include "gpu/backend.h"
#include "gpu/cpu/backend.h"
#include "tests/emulation/devices.h"
#include "tests/emulation/runtime.h"
#include "tests/gpu/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct backend_table *bifurcated_backend(uint32_t host_abi_version);

/* Orders, and GPUs whose shared memory has room for a table of all codes, for a half or a quarter of it. What
 * asks for memory by itself, scoring, runs whole where there is least; what is loaded layer by layer in
 * another order, too, and what is converted while it is, in a third. */
static const struct {
    const char *gpu;
    unsigned haste; /* how much runs between two calls */
    int multiprocessor_count;
    const char *statistics, *score; /* the cases that run: those whose names have it; NULL: none */
} runs[] = {
    {"l4", 0, 4, "", ""},
    {"h100", 60, 5, "", "stream"},
    {"a100", 0, 7, "", NULL},
    {"h100", 20, 4, NULL, "streamed, float32"},
};

static int run(struct cases *cases, const struct emulation_device *device, const char *only_statistics,
               const char *only_score)
{
    const char *only = cases->only;
    const struct backend_options full = {.memory_bytes_max = CASES_FULL_BYTES};
    struct registry *registries[2] = {NULL};
    struct err err = ERR_INIT;
    emulation_reset(device);
    /* The module's table in the place of the linked-in backend: there is no file to load. */
    if (registry_new(cpu_backend(), NULL, &registries[0], &err) ||
        registry_new(bifurcated_backend(BACKEND_ABI_VERSION), NULL, &registries[1], &err) ||
        device_open(registries[0], "auto", NULL, &cases->cpu, &err) ||
        device_open(registries[1], "auto", NULL, &cases->cuda, &err) ||
        device_open(registries[1], "auto", &full, &cases->full, &err)) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("%s, haste %u\n", device_info(cases->cuda)->description.name, device->haste);
    cases->only = only ? only : only_statistics;
    if (only || only_statistics)
        cases_statistics(cases);
    cases->only = only ? only : only_score;
    if (only || only_score) {
        cases_score(cases);
        cases_families(cases);
    }
    cases->only = only;
    device_close(cases->full);
    device_close(cases->cuda);
    device_close(cases->cpu);
    registry_free(registries[0]);
    registry_free(registries[1]);
    if (emulation_object_count()) {
        printf("FAILED %zu objects of the runtime were left\n", emulation_object_count());
        cases->failed++;
    }
    return 0;
}

int main(int count, char **words)
{
    struct cases cases = {.cost_max = CASE_COST_SMALL};
    unsigned seed = 1, lacks = 0;
    for (int i = 1; i < count; i++) {
        if (strncmp(words[i], "lacks=", 6) == 0) /* of EMULATION_LACKS_: all cases the slow way */
            lacks = (unsigned)strtoul(words[i] + 6, NULL, 10);
        if (strncmp(words[i], "only=", 5) == 0)
            cases.only = words[i] + 5;
        if (strncmp(words[i], "seed=", 5) == 0)
            seed += (unsigned)strtoul(words[i] + 5, NULL, 10);
    }
    cases_grid(&cases);
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        struct emulation_device device = {.seed = seed++, .haste = runs[i].haste, .lacks = lacks};
        emulation_gpu_take(emulation_gpu_find(runs[i].gpu), &device);
        device.multiprocessor_count = runs[i].multiprocessor_count;
        if (run(&cases, &device, runs[i].statistics, runs[i].score))
            return 1;
    }
    /* Each GPU with all of its multiprocessors, by what is cut for them. */
    for (const struct emulation_gpu *gpu = emulation_gpus; gpu->key && !cases.only; gpu++) {
        struct emulation_device device = {.seed = seed++, .haste = 30};
        emulation_gpu_take(gpu, &device);
        if (gpu->capability >= 80 && run(&cases, &device, "513x128 ", NULL))
            return 1;
    }
    printf("%d passed, %d failed\n", cases.passed, cases.failed);
    /* What cuBLASLt is asked for is of its documentation's table. */
    return cases.failed || !cases.passed || (!lacks && cases.slow);
}
