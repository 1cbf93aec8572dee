/* The compute device, the CUDA module, and memory. */
#include "daemon/command/check.h"
#include "daemon/measure/engine.h"
#include "gpu/cpu/backend.h"
#include "gpu/registry.h"

static void check_limit(const struct options *options, const struct registry_device *device,
                        struct check_report *report)
{
    const double asked_bytes = (double)options->device_memory_mb * 1e6,
                 all_bytes = (double)device->description.memory_bytes;
    if (!options->device_memory_mb)
        return;
    if (all_bytes > 0 && asked_bytes > all_bytes)
        check_add(report, CHECK_LEVEL_WARNING, "device",
                  "device-memory-mb is %.0f, but %s has %.0f MB: it limits nothing", asked_bytes / 1e6,
                  device->id, all_bytes / 1e6);
    else
        check_add(report, CHECK_LEVEL_OK, "device", "%.0f MB of its %.0f MB may be taken", asked_bytes / 1e6,
                  all_bytes / 1e6);
}

static void check_memory(const struct options *options, const struct registry *registry,
                         struct check_report *report)
{
    uint64_t known_bytes = 0;
    double asked_bytes = (double)engine_tensor_bytes(options, registry, &known_bytes),
           machine_bytes = (double)known_bytes;
    if (machine_bytes > 0 && asked_bytes > machine_bytes)
        check_add(report, CHECK_LEVEL_WARNING, "memory", "memory-mb is %.1f GB, but the machine has %.1f GB",
                  asked_bytes / 1e9, machine_bytes / 1e9);
    else
        check_add(report, CHECK_LEVEL_OK, "memory", "%.1f GB for tensors, of %.1f GB", asked_bytes / 1e9,
                  machine_bytes / 1e9);
}

void check_device(const struct options *options, struct check_report *report)
{
    struct err err = ERR_INIT;
    struct registry *registry = NULL;
    struct device *device = NULL;
    struct backend_options backend = engine_backend_options(options);
    const char *module = registry_module_path(options->cuda_module);
    if (registry_new(cpu_backend(), module, &registry, &err) ||
        device_open(registry, options->device, &backend, &device, &err)) {
        check_add(report, CHECK_LEVEL_ERROR, "device", "%s", err.message);
    } else {
        const struct registry_device *info = device_info(device);
        check_add(report, CHECK_LEVEL_OK, "device", "%s: %s", info->id, info->description.name);
        check_limit(options, info, report);
        if (device_passed_over(device)[0])
            check_add(report, CHECK_LEVEL_WARNING, "cuda", "a GPU is present but not used: %s",
                      device_passed_over(device));
        const char *absence = registry_absence(registry);
        if (absence[0]) /* only what was asked for by name is a fault */
            check_add(report, options->cuda_module[0] ? CHECK_LEVEL_WARNING : CHECK_LEVEL_OK, "cuda", "%s",
                      absence);
    }
    device_close(device);
    check_memory(options, registry, report);
    registry_free(registry);
}
