#include "tests/gpu/cases.h"

#include "gpu/cpu/backend.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: gpu_cases MODULE [quick|small] [families|others] [part=I/N] [after=N] [self] [only=TEXT]\n";

struct choice {
    const char *id; /* of the device */
    int has_families, has_others;
};

/* 0 if it is one; part=I/N counts from 1. */
static int read_word(const char *word, struct cases *cases, struct choice *choice)
{
    char end;
    if (strcmp(word, "quick") == 0)
        cases->cost_max = CASE_COST_QUICK;
    else if (strcmp(word, "small") == 0)
        cases->cost_max = CASE_COST_SMALL;
    else if (strcmp(word, "families") == 0)
        choice->has_others = 0;
    else if (strcmp(word, "others") == 0)
        choice->has_families = 0;
    else if (strcmp(word, "self") == 0)
        choice->id = "cpu";
    else if (strncmp(word, "only=", 5) == 0)
        cases->only = word + 5;
    else if (sscanf(word, "part=%u/%u%c", &cases->part, &cases->parts, &end) == 2 && cases->part > 0 &&
             cases->part <= cases->parts)
        cases->part--;
    else if (sscanf(word, "after=%u%c", &cases->after, &end) == 1)
        return 0;
    else
        return 1;
    return 0;
}

int main(int count, char **words)
{
    struct cases cases = {.cost_max = CASE_COST_LARGE, .limit_s = CASE_LIMIT_S};
    struct choice choice = {"cuda:0", 1, 1};
    struct registry *registry = NULL;
    struct err err = ERR_INIT;
    const struct backend_options full = {.memory_bytes_max = CASES_FULL_BYTES};
    int is_odd = count < 2;
    for (int i = 2; i < count; i++)
        is_odd = is_odd || read_word(words[i], &cases, &choice);
    if (is_odd) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (choice.has_others)
        cases_grid(&cases);
    if (registry_new(cpu_backend(), words[1], &registry, &err) ||
        device_open(registry, "cpu", NULL, &cases.cpu, &err) ||
        device_open(registry, choice.id, NULL, &cases.cuda, &err) ||
        device_open(registry, choice.id, &full, &cases.full, &err)) {
        printf("%d passed, %d failed without a device; the others cannot run: %s\n", cases.passed,
               cases.failed, err.message);
        registry_free(registry);
        return cases.failed ? 1 : 77;
    }
    printf("%s\n", device_info(cases.cuda)->description.name);
    if (choice.has_families)
        cases_families(&cases);
    if (choice.has_others) {
        cases_statistics(&cases);
        cases_score(&cases);
    }
    device_close(cases.full);
    device_close(cases.cuda);
    device_close(cases.cpu);
    registry_free(registry);
    if (cases.is_lost)
        printf("%d passed, %d failed, and the device is lost; after=%u goes on\n", cases.passed, cases.failed,
               cases.begun);
    else
        printf("%d passed, %d failed\n", cases.passed, cases.failed);
    return cases.failed ? 1 : 0;
}
