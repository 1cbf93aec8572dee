#include "gpu/registry.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The build sets where it installs the module. */
#ifndef BIFURCATED_CUDA_MODULE_PATH
#define BIFURCATED_CUDA_MODULE_PATH ""
#endif

struct entry {
    struct registry_device device;
    const struct backend_table *table;
    int index; /* among the devices of its backend */
};

struct registry {
    size_t count;
    struct entry entries[REGISTRY_DEVICES_MAX];
    char absence[BACKEND_WHY_BYTES];
};

struct device {
    struct entry entry;
    void *context;
    uint64_t memory_bytes_max;
    char passed_over[BACKEND_WHY_BYTES];
};

const char *registry_module_path(const char *option)
{
    if (option && *option)
        return option;
    const char *environment = getenv("BIFURCATED_CUDA_MODULE");
    return environment && *environment ? environment : BIFURCATED_CUDA_MODULE_PATH;
}

static int add_devices(struct registry *registry, const struct backend_table *table, int is_numbered,
                       struct err *err)
{
    int count = table->device_count();
    for (int i = 0; i < count && registry->count < REGISTRY_DEVICES_MAX; i++) {
        struct entry entry = {.table = table, .index = i};
        int code = table->device_describe(i, &entry.device.description, err);
        if (code)
            return err_wrap(err, "device %d of %s", i, table->name);
        (void)snprintf(entry.device.backend, sizeof(entry.device.backend), "%s", table->name);
        if (is_numbered)
            (void)snprintf(entry.device.id, sizeof(entry.device.id), "%s:%d", table->name, i);
        else
            (void)snprintf(entry.device.id, sizeof(entry.device.id), "%s", table->name);
        registry->entries[registry->count++] = entry;
    }
    return 0;
}

/* Loads a module and returns its table, or NULL with a sentence in why. */
static const struct backend_table *load_module(const char *path, char *why, size_t why_size)
{
    if (path[0] != '/') {
        (void)snprintf(why, why_size, "the path of the CUDA module must be absolute, not \"%s\"", path);
        return NULL;
    }
    if (access(path, F_OK) != 0) {
        (void)snprintf(why, why_size, "no CUDA module is installed at %s", path);
        return NULL;
    }
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!module) {
        const char *reason = dlerror();
        (void)snprintf(why, why_size, "the CUDA module could not be loaded: %s", reason ? reason : "unknown");
        return NULL;
    }
    /* POSIX lets a data pointer from dlsym be a function; the union says so without a cast that warns. */
    union {
        void *pointer;
        const struct backend_table *(*call)(uint32_t);
    } entry = {.pointer = dlsym(module, BACKEND_ENTRY_NAME)};
    if (!entry.pointer) {
        (void)snprintf(why, why_size, "%s is not a module of this program: it has no %s", path,
                       BACKEND_ENTRY_NAME);
        return NULL;
    }
    const struct backend_table *table = entry.call(BACKEND_ABI_VERSION);
    if (!table) {
        (void)snprintf(why, why_size, "the CUDA module does not know interface version %d of this program",
                       BACKEND_ABI_VERSION);
        return NULL;
    }
    if (table->abi_version != BACKEND_ABI_VERSION || table->struct_size != sizeof(struct backend_table)) {
        (void)snprintf(
            why, why_size,
            "the CUDA module was built for interface version %u (%u bytes), this program has %d (%zu bytes)",
            table->abi_version, table->struct_size, BACKEND_ABI_VERSION, sizeof(struct backend_table));
        return NULL;
    }
    return table;
}

/* Adds what the module offers, or the reason why it offers nothing. */
static void add_module(struct registry *registry, const char *path)
{
    char *why = registry->absence;
    size_t size = sizeof(registry->absence);
    struct err err = ERR_INIT;
    if (!path || !*path) {
        (void)snprintf(why, size, "this build has no CUDA module");
        return;
    }
    const struct backend_table *table = load_module(path, why, size);
    if (!table)
        return;
    if (table->probe(why, size)) {
        if (!*why)
            (void)snprintf(why, size, "the CUDA module found nothing to work on");
        return;
    }
    why[0] = '\0';
    size_t before = registry->count;
    if (add_devices(registry, table, 1, &err)) {
        registry->count = before;
        (void)snprintf(why, size, "%s", err.message);
    } else if (registry->count == before) {
        (void)snprintf(why, size, "the CUDA driver reports no device");
    }
}

int registry_new(const struct backend_table *cpu, const char *module_path, struct registry **ret_registry,
                 struct err *err)
{
    struct registry *registry = calloc(1, sizeof(*registry));
    if (!registry)
        return err_set(err, ERR_NO_MEMORY, "no memory for the list of devices");
    char why[BACKEND_WHY_BYTES] = "";
    int code = 0;
    if (cpu->probe(why, sizeof(why)))
        code = err_set(err, ERR_DEVICE, "%s", why);
    else
        code = add_devices(registry, cpu, 0, err);
    if (code) {
        registry_free(registry);
        return code;
    }
    add_module(registry, module_path);
    *ret_registry = registry;
    return 0;
}

void registry_free(struct registry *registry)
{
    free(registry);
}

size_t registry_device_count(const struct registry *registry)
{
    return registry->count;
}

const struct registry_device *registry_device_at(const struct registry *registry, size_t index)
{
    return index < registry->count ? &registry->entries[index].device : NULL;
}

const char *registry_absence(const struct registry *registry)
{
    return registry->absence;
}

/* A bare backend name is its first device. */
static const struct entry *find_entry(const struct registry *registry, const char *id)
{
    for (size_t i = 0; i < registry->count; i++) {
        const struct entry *entry = &registry->entries[i];
        if (strcmp(id, entry->device.id) == 0 || strcmp(id, entry->device.backend) == 0)
            return entry;
    }
    return NULL;
}

static int open_entry(const struct entry *entry, const struct backend_options *options,
                      struct device **ret_device, struct err *err)
{
    struct device *device = calloc(1, sizeof(*device));
    if (!device)
        return err_set(err, ERR_NO_MEMORY, "no memory for a device");
    device->entry = *entry;
    device->memory_bytes_max = options ? options->memory_bytes_max : 0;
    int code = entry->table->device_open(entry->index, options, &device->context, err);
    if (code) {
        free(device);
        return err_wrap(err, "device %s", entry->device.id);
    }
    *ret_device = device;
    return 0;
}

/* A GPU may be there and not usable: another program has all of its memory, or has it for itself. */
static int open_any(const struct registry *registry, const struct backend_options *options,
                    struct device **ret_device, struct err *err)
{
    char why[BACKEND_WHY_BYTES] = "";
    for (size_t i = 0; i < registry->count; i++) {
        const struct entry *entry = &registry->entries[i];
        if (strcmp(entry->device.backend, "cpu") == 0)
            continue;
        if (!open_entry(entry, options, ret_device, err)) {
            (void)snprintf((*ret_device)->passed_over, sizeof(why), "%s", why);
            return 0;
        }
        if (!why[0])
            (void)snprintf(why, sizeof(why), "%s", err->message);
        *err = (struct err)ERR_INIT;
    }
    if (!registry->count)
        return err_set(err, ERR_NOT_FOUND, "there is no device at all");
    int code = open_entry(&registry->entries[0], options, ret_device, err);
    if (!code)
        (void)snprintf((*ret_device)->passed_over, sizeof(why), "%s", why);
    return code;
}

int device_open(const struct registry *registry, const char *id, const struct backend_options *options,
                struct device **ret_device, struct err *err)
{
    if (strcmp(id, "auto") == 0)
        return open_any(registry, options, ret_device, err);
    const struct entry *entry = find_entry(registry, id);
    if (!entry && strncmp(id, "cuda", 4) == 0 && registry->absence[0])
        return err_set(err, ERR_NOT_FOUND, "no device \"%.32s\": %s", id, registry->absence);
    if (!entry)
        return err_set(err, ERR_NOT_FOUND, "no device \"%.32s\": use auto, cpu or cuda:N", id);
    return open_entry(entry, options, ret_device, err);
}

void device_close(struct device *device)
{
    if (!device)
        return;
    device->entry.table->device_close(device->context);
    free(device);
}

const char *device_passed_over(const struct device *device)
{
    return device->passed_over;
}

uint64_t device_memory_bytes_max(const struct device *device)
{
    return device->memory_bytes_max;
}

const struct registry_device *device_info(const struct device *device)
{
    return &device->entry.device;
}

const struct backend_table *device_backend(const struct device *device)
{
    return device->entry.table;
}

void *device_context(const struct device *device)
{
    return device->context;
}

int device_statistics(struct device *device, const struct statistics_request *request,
                      struct statistics_result *result, struct err *err)
{
    int code = statistics_request_check(request, err);
    if (code)
        return code;
    return device->entry.table->statistics(device->context, request, result, err);
}
