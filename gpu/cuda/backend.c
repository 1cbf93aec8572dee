#include "gpu/backend.h"

#include "gpu/cuda/device.h"
#include "gpu/cuda/score.h"
#include "gpu/cuda/score_kernels.h"
#include "gpu/cuda/statistics.h"
#include "gpu/registry.h"

#include <stdio.h>

#define CAPABILITY_MIN 80 /* 10 * major + minor */

/* CUDA's numbers of the devices that are new enough, found by probe. */
static int ordinals[REGISTRY_DEVICES_MAX];
static int ordinal_count;

static int refuse(char *why, size_t why_size, const char *reason)
{
    if (why_size)
        (void)snprintf(why, why_size, "%s", reason);
    return 1;
}

/* The driver: present, and new enough for this runtime. */
static int probe_driver(char *why, size_t why_size)
{
    int driver = 0, runtime = CUDART_VERSION;
    char reason[160];
    (void)cudaRuntimeGetVersion(&runtime);
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
        (void)cudaGetLastError();
        return refuse(why, why_size, "no NVIDIA driver is installed (libcuda.so.1 was not found)");
    }
    /* Any driver of the same major version runs the module. */
    if (driver / 1000 < runtime / 1000) {
        (void)snprintf(
            reason, sizeof(reason),
            "the NVIDIA driver supports CUDA %d.%d, the module needs %d.0 or later: update the driver",
            driver / 1000, driver % 1000 / 10, runtime / 1000);
        return refuse(why, why_size, reason);
    }
    return 0;
}

static int probe(char *why, size_t why_size)
{
    int count = 0;
    char reason[BACKEND_WHY_BYTES] = "the NVIDIA driver reports no GPU";
    ordinal_count = 0;
    if (probe_driver(why, why_size))
        return 1;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess) {
        (void)cudaGetLastError();
        (void)snprintf(reason, sizeof(reason), "the NVIDIA driver offers no GPU: %s",
                       cudaGetErrorString(status));
        return refuse(why, why_size, reason);
    }
    for (int i = 0; i < count && ordinal_count < REGISTRY_DEVICES_MAX; i++) {
        struct cudaDeviceProp properties;
        int mode = cudaComputeModeDefault;
        status = cudaGetDeviceProperties(&properties, i);
        (void)cudaDeviceGetAttribute(&mode, cudaDevAttrComputeMode, i);
        if (status != cudaSuccess) {
            (void)cudaGetLastError();
            (void)snprintf(reason, sizeof(reason), "GPU %d does not answer: %s", i,
                           cudaGetErrorString(status));
        } else if (10 * properties.major + properties.minor < CAPABILITY_MIN) {
            (void)snprintf(reason, sizeof(reason),
                           "the %.100s is too old: compute capability %d.%d, and %d.%d is needed",
                           properties.name, properties.major, properties.minor, CAPABILITY_MIN / 10,
                           CAPABILITY_MIN % 10);
        } else if (mode == cudaComputeModeProhibited) {
            (void)snprintf(reason, sizeof(reason), "the %.100s is set to prohibit computing",
                           properties.name);
        } else {
            ordinals[ordinal_count++] = i;
        }
    }
    return ordinal_count ? 0 : refuse(why, why_size, reason);
}

static int device_count(void)
{
    return ordinal_count;
}

static int device_describe(int index, struct backend_description *ret_description, struct err *err)
{
    struct backend_description description = {.name = ""};
    struct cudaDeviceProp properties;
    if (index < 0 || index >= ordinal_count)
        return err_set(err, ERR_NOT_FOUND, "there are %d CUDA devices, none has the number %d", ordinal_count,
                       index);
    cudaError_t status = cudaGetDeviceProperties(&properties, ordinals[index]);
    if (status != cudaSuccess) {
        (void)cudaGetLastError();
        return err_set(err, ERR_DEVICE, "GPU %d does not answer: %s", index, cudaGetErrorString(status));
    }
    (void)snprintf(description.name, sizeof(description.name), "%.80s, %d multiprocessors, sm_%d%d",
                   properties.name, properties.multiProcessorCount, properties.major, properties.minor);
    /* What is free only a context could say: hundreds of MiB on each GPU, of which one is opened, and none
     * that is another process's alone. */
    description.memory_bytes = properties.totalGlobalMem;
    *ret_description = description;
    return 0;
}

/* A module without machine code for this GPU, or a GPU that runs nothing, is told now and not by every task.
 */
static int run_first_kernel(struct cuda_device *device, struct err *err)
{
    cudaError_t status = score_launch_head_start(device->workspace, 1, device->stream);
    int code = device_check(device, status, "a first kernel", err);
    return code ? code : device_wait(device, err);
}

static int open_device(int index, const struct backend_options *options, void **ret_device, struct err *err)
{
    struct cuda_device *device = NULL;
    if (index < 0 || index >= ordinal_count)
        return err_set(err, ERR_NOT_FOUND, "there are %d CUDA devices, none has the number %d", ordinal_count,
                       index);
    int code = device_new(ordinals[index], options ? options->memory_bytes_max : 0, &device, err);
    if (code)
        return code;
    if ((code = run_first_kernel(device, err))) {
        device_free(device);
        return code;
    }
    *ret_device = device;
    return 0;
}

static void close_device(void *device)
{
    device_free(device);
}

static int statistics(void *device, const struct statistics_request *request,
                      struct statistics_result *result, struct err *err)
{
    return cuda_statistics(device, request, result, err);
}

static int model_load(void *device, const struct score_model_source *source, void **ret_model,
                      struct err *err)
{
    struct cuda_model *model = NULL;
    int code = cuda_score_load(device, source, &model, err);
    if (!code)
        *ret_model = model;
    return code;
}

static int model_score(void *model, const struct score_request *request, struct score_result *result,
                       struct err *err)
{
    return cuda_score_run(model, request, result, err);
}

static void model_need(void *model, struct score_need *ret_need)
{
    cuda_score_need(model, ret_need);
}

static void model_free(void *model)
{
    cuda_score_free(model);
}

__attribute__((visibility("default"))) const struct backend_table *
bifurcated_backend(uint32_t host_abi_version)
{
    static const struct backend_table table = {
        .abi_version = BACKEND_ABI_VERSION,
        .struct_size = sizeof(struct backend_table),
        .name = "cuda",
        .probe = probe,
        .device_count = device_count,
        .device_describe = device_describe,
        .device_open = open_device,
        .device_close = close_device,
        .statistics = statistics,
        .model_check = cuda_score_check,
        .model_load = model_load,
        .model_score = model_score,
        .model_free = model_free,
        .model_need = model_need,
    };
    return host_abi_version == BACKEND_ABI_VERSION ? &table : NULL;
}
