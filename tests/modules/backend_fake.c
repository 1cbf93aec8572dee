/* A compute module without a device behind it, for tests of the loader. What it does is told by the
 * environment's FAKE_BACKEND: "" works with two devices, of which "open0" refuses the first and "open" both;
 * "abi", "size", "null", "probe", "silent", "none" and "describe" fail. */
#include "gpu/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct backend_table *bifurcated_backend(uint32_t host_abi_version);

static int is_mode(const char *mode)
{
    const char *asked = getenv("FAKE_BACKEND");
    return asked && strcmp(asked, mode) == 0;
}

static int probe(char *why, size_t why_size)
{
    if (is_mode("probe"))
        (void)snprintf(why, why_size, "no driver answers here");
    return is_mode("probe") || is_mode("silent");
}

static int device_count(void)
{
    return is_mode("none") ? 0 : 2;
}

static int device_describe(int index, struct backend_description *ret_description, struct err *err)
{
    if (is_mode("describe")) {
        err->code = ERR_DEVICE;
        (void)snprintf(err->message, sizeof(err->message), "it does not say");
        return err->code;
    }
    *ret_description = (struct backend_description){.memory_bytes = 1000U + (unsigned)index};
    (void)snprintf(ret_description->name, sizeof(ret_description->name), "Fake %d", index);
    return 0;
}

static int device_open(int index, const struct backend_options *options, void **ret_device, struct err *err)
{
    static int devices[2];
    (void)options;
    if (is_mode("open") || (is_mode("open0") && index == 0)) {
        err->code = ERR_DEVICE;
        (void)snprintf(err->message, sizeof(err->message), "device %d is another's", index);
        return err->code;
    }
    *ret_device = &devices[index];
    return 0;
}

static void device_close(void *device)
{
    (void)device;
}

static int statistics(void *device, const struct statistics_request *request,
                      struct statistics_result *result, struct err *err)
{
    (void)device;
    (void)request;
    (void)result;
    err->code = ERR_DEVICE;
    (void)snprintf(err->message, sizeof(err->message), "a fake device measures nothing");
    return err->code;
}

const struct backend_table *bifurcated_backend(uint32_t host_abi_version)
{
    static struct backend_table table = {
        .abi_version = BACKEND_ABI_VERSION,
        .struct_size = sizeof(struct backend_table),
        .name = "cuda",
        .probe = probe,
        .device_count = device_count,
        .device_describe = device_describe,
        .device_open = device_open,
        .device_close = device_close,
        .statistics = statistics,
    };
    if (is_mode("null") || host_abi_version != BACKEND_ABI_VERSION)
        return NULL;
    table.abi_version = is_mode("abi") ? BACKEND_ABI_VERSION + 1 : BACKEND_ABI_VERSION;
    table.struct_size = is_mode("size") ? 8 : (uint32_t)sizeof(struct backend_table);
    return &table;
}
