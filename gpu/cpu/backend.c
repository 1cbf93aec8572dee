#include "gpu/cpu/backend.h"

#include "gpu/cpu/processor.h"
#include "gpu/cpu/score.h"
#include "gpu/cpu/statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cpu_device {
    struct cpu_threads *threads;
    enum cpu_isa isa;
    uint64_t memory_bytes_max; /* of a scored model; 0: no limit */
};

static int probe(char *why, size_t why_size)
{
    if (why_size)
        why[0] = '\0';
    return 0;
}

static int device_count(void)
{
    return 1;
}

static int device_describe(int index, struct backend_description *ret_description, struct err *err)
{
    struct backend_description description = {.name = ""};
    char name[80];
    if (index != 0)
        return err_set(err, ERR_NOT_FOUND, "there is one CPU device, not a number %d", index);
    FILE *file = fopen("/proc/cpuinfo", "re");
    processor_name(file, name, sizeof(name));
    if (file)
        (void)fclose(file);
    (void)snprintf(description.name, sizeof(description.name), "%s, %d threads, %s", name,
                   cpu_threads_usable(), cpu_isa_name(cpu_isa_best()));
    long page = sysconf(_SC_PAGESIZE), pages = sysconf(_SC_PHYS_PAGES);
    if (page > 0 && pages > 0)
        description.memory_bytes = (uint64_t)page * (uint64_t)pages;
    *ret_description = description;
    return 0;
}

static int device_open(int index, const struct backend_options *options, void **ret_device, struct err *err)
{
    if (index != 0)
        return err_set(err, ERR_NOT_FOUND, "there is one CPU device, not a number %d", index);
    struct cpu_device *device = calloc(1, sizeof(*device));
    if (!device)
        return err_set(err, ERR_NO_MEMORY, "no memory for a device");
    device->isa = cpu_isa_best();
    device->memory_bytes_max = options ? options->memory_bytes_max : 0;
    int code = cpu_threads_new(options ? options->thread_count : 0, &device->threads, err);
    if (code) {
        free(device);
        return code;
    }
    *ret_device = device;
    return 0;
}

static void device_close(void *context)
{
    struct cpu_device *device = context;
    if (!device)
        return;
    cpu_threads_free(device->threads);
    free(device);
}

static int statistics(void *context, const struct statistics_request *request,
                      struct statistics_result *result, struct err *err)
{
    struct cpu_device *device = context;
    return cpu_statistics(device->threads, device->isa, request, result, err);
}

static int model_load(void *context, const struct score_model_source *source, void **ret_model,
                      struct err *err)
{
    struct cpu_device *device = context;
    struct cpu_score_model *model = NULL;
    struct score_model_source within = *source;
    const uint64_t most = device->memory_bytes_max;
    if (most && (!within.memory_budget_bytes || most < within.memory_budget_bytes))
        within.memory_budget_bytes = most;
    int code = cpu_score_load(device->threads, device->isa, &within, &model, err);
    if (!code)
        *ret_model = model;
    return code;
}

static int model_score(void *model, const struct score_request *request, struct score_result *result,
                       struct err *err)
{
    return cpu_score_run(model, request, result, err);
}

static void model_free(void *model)
{
    cpu_score_free(model);
}

const struct backend_table *cpu_backend(void)
{
    static const struct backend_table table = {
        .abi_version = BACKEND_ABI_VERSION,
        .struct_size = sizeof(struct backend_table),
        .name = "cpu",
        .probe = probe,
        .device_count = device_count,
        .device_describe = device_describe,
        .device_open = device_open,
        .device_close = device_close,
        .statistics = statistics,
        .model_load = model_load,
        .model_score = model_score,
        .model_free = model_free,
    };
    return &table;
}
