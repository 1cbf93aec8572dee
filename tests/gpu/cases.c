#include "tests/gpu/cases.h"

#include "gpu/cpu/backend.h"

#include <stdio.h>
#include <string.h>

int case_begins(const struct cases *cases, const char *name, int is_large)
{
    return !(is_large && cases->is_quick) && !(cases->only && !strstr(name, cases->only));
}

void case_ends(struct cases *cases, const char *name, double value, const char *what)
{
    int is_good = value <= 1; /* NaN is not */
    *(is_good ? &cases->passed : &cases->failed) += 1;
    printf("%-6s %-64s %9.3g of its tolerance (%s)\n", is_good ? "passed" : "FAILED", name, value, what);
    (void)fflush(stdout);
}

void case_breaks(struct cases *cases, const char *name, const struct err *err)
{
    cases->failed++;
    printf("FAILED %-64s %s: %s\n", name, err_name(err->code), err->message);
}

int main(int count, char **words)
{
    struct cases cases = {.only = NULL};
    struct registry *registry = NULL;
    struct err err = ERR_INIT;
    const char *id = "cuda:0";
    if (count < 2) {
        (void)fprintf(stderr, "usage: gpu_cases MODULE [quick] [self] [only=TEXT]\n");
        return 2;
    }
    for (int i = 2; i < count; i++) {
        if (strcmp(words[i], "quick") == 0)
            cases.is_quick = 1;
        if (strcmp(words[i], "self") == 0)
            id = "cpu";
        if (strncmp(words[i], "only=", 5) == 0)
            cases.only = words[i] + 5;
    }
    cases_grid(&cases);
    if (registry_new(cpu_backend(), words[1], &registry, &err) ||
        device_open(registry, "cpu", NULL, &cases.cpu, &err) ||
        device_open(registry, id, NULL, &cases.cuda, &err)) {
        printf("%d passed, %d failed without a device; the others cannot run: %s\n", cases.passed,
               cases.failed, err.message);
        registry_free(registry);
        return cases.failed ? 1 : 77;
    }
    printf("%s\n", device_info(cases.cuda)->description.name);
    cases_statistics(&cases);
    cases_score(&cases);
    device_close(cases.cuda);
    device_close(cases.cpu);
    registry_free(registry);
    printf("%d passed, %d failed\n", cases.passed, cases.failed);
    return cases.failed ? 1 : 0;
}
