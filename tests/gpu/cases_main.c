#include "tests/gpu/cases.h"

#include "gpu/cpu/backend.h"

#include <stdio.h>
#include <string.h>

int main(int count, char **words)
{
    struct cases cases = {.cost_max = CASE_COST_LARGE};
    struct registry *registry = NULL;
    struct err err = ERR_INIT;
    const struct backend_options full = {.memory_bytes_max = CASES_FULL_BYTES};
    const char *id = "cuda:0";
    int has_families = 1, has_others = 1;
    if (count < 2) {
        (void)fprintf(stderr, "usage: gpu_cases MODULE [quick|small] [families|others] [self] [only=TEXT]\n");
        return 2;
    }
    for (int i = 2; i < count; i++) {
        if (strcmp(words[i], "quick") == 0)
            cases.cost_max = CASE_COST_QUICK;
        if (strcmp(words[i], "small") == 0)
            cases.cost_max = CASE_COST_SMALL;
        if (strcmp(words[i], "families") == 0)
            has_others = 0;
        if (strcmp(words[i], "others") == 0)
            has_families = 0;
        if (strcmp(words[i], "self") == 0)
            id = "cpu";
        if (strncmp(words[i], "only=", 5) == 0)
            cases.only = words[i] + 5;
    }
    cases_grid(&cases);
    if (registry_new(cpu_backend(), words[1], &registry, &err) ||
        device_open(registry, "cpu", NULL, &cases.cpu, &err) ||
        device_open(registry, id, NULL, &cases.cuda, &err) ||
        device_open(registry, id, &full, &cases.full, &err)) {
        printf("%d passed, %d failed without a device; the others cannot run: %s\n", cases.passed,
               cases.failed, err.message);
        registry_free(registry);
        return cases.failed ? 1 : 77;
    }
    printf("%s\n", device_info(cases.cuda)->description.name);
    if (has_families) {
        cases_families(&cases);
        cases_scaled(&cases);
        cases_windows(&cases);
        cases_experts(&cases);
    }
    if (has_others) {
        cases_statistics(&cases);
        cases_score(&cases);
    }
    device_close(cases.full);
    device_close(cases.cuda);
    device_close(cases.cpu);
    registry_free(registry);
    printf("%d passed, %d failed\n", cases.passed, cases.failed);
    return cases.failed ? 1 : 0;
}
