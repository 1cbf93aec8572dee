/*
 * The whole CUDA module on the emulated runtime: the cases of tests/gpu against the CPU backend, in several
 * orders of everything that CUDA does not order, and what happens when memory or the device is refused or
 * lost.
 *
 *     emulation_module [seed=N] [only=TEXT]
 */
#include "gpu/backend.h"
#include "gpu/cpu/backend.h"
#include "tests/emulation/runtime.h"
#include "tests/gpu/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct backend_table *bifurcated_backend(uint32_t host_abi_version);

/* How much runs between two calls, and the device: with room for a table of all codes, for a
 * half or a quarter of it (sm_90; sm_80; sm_86 and sm_89). */
static const struct emulation_device devices[] = {
    {.seed = 1,
     .haste = 0,
     .multiprocessor_count = 4,
     .shared_bytes_max = 232448,
     .memory_bytes = 2ULL << 30},
    {.seed = 2,
     .haste = 60,
     .multiprocessor_count = 5,
     .shared_bytes_max = 101376,
     .memory_bytes = 2ULL << 30},
    {.seed = 3,
     .haste = 0,
     .multiprocessor_count = 7,
     .shared_bytes_max = 166912,
     .memory_bytes = 2ULL << 30},
    {.seed = 4,
     .haste = 20,
     .multiprocessor_count = 4,
     .shared_bytes_max = 232448,
     .memory_bytes = 2ULL << 30},
    {.seed = 5,
     .haste = 80,
     .multiprocessor_count = 4,
     .shared_bytes_max = 232448,
     .memory_bytes = 2ULL << 30},
};

int main(int count, char **words)
{
    struct cases cases = {.cost_max = CASE_COST_SMALL};
    struct registry *registries[2] = {NULL};
    struct err err = ERR_INIT;
    const char *only = NULL;
    unsigned seed = 0;
    for (int i = 1; i < count; i++) {
        if (strncmp(words[i], "only=", 5) == 0)
            cases.only = only = words[i] + 5;
        if (strncmp(words[i], "seed=", 5) == 0)
            seed = (unsigned)strtoul(words[i] + 5, NULL, 10);
    }
    cases_grid(&cases);
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        struct emulation_device device = devices[i];
        device.seed += seed;
        emulation_reset(&device);
        /* The module's table in the place of the linked-in backend: there is no file to load. */
        if (registry_new(cpu_backend(), NULL, &registries[0], &err) ||
            registry_new(bifurcated_backend(BACKEND_ABI_VERSION), NULL, &registries[1], &err) ||
            device_open(registries[0], "auto", NULL, &cases.cpu, &err) ||
            device_open(registries[1], "auto", NULL, &cases.cuda, &err)) {
            (void)fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        printf("%s, haste %u\n", device_info(cases.cuda)->description.name, device.haste);
        if (i < 3 || only)
            cases_statistics(&cases);
        if (i && !only) /* these cut statistics otherwise; of scoring, the orders matter */
            cases.only = "stream";
        cases_score(&cases);
        cases.only = only;
        device_close(cases.cuda);
        device_close(cases.cpu);
        registry_free(registries[0]);
        registry_free(registries[1]);
        if (emulation_object_count()) {
            printf("FAILED %zu objects of the runtime were left\n", emulation_object_count());
            cases.failed++;
        }
    }
    printf("%d passed, %d failed\n", cases.passed, cases.failed);
    return cases.failed || !cases.passed;
}
