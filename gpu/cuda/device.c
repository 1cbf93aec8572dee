#include "gpu/cuda/device.h"

#include "gpu/cuda/share.h"

#include <stdio.h>
#include <stdlib.h>

#define KERNELS_BYTES ((size_t)32 << 20) /* more than a library's kernels take, once they are asked for */

/* After these the process cannot use the device any more (the runtime's documentation of each code). */
static int is_loss(cudaError_t status)
{
    switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorDevicesUnavailable:
    case cudaErrorContextIsDestroyed:
    case cudaErrorCudartUnloading:
    case cudaErrorMpsClientTerminated:
    case cudaErrorExternalDevice:
    case cudaErrorContained:
    case cudaErrorTensorMemoryLeak:
    case cudaErrorUnknown:
        return 1;
    default:
        return 0;
    }
}

/* Codes that the table does not know (a newer driver's): an error that the context is left with comes back
 * from every call, a refusal does not. Without a stream there is no context yet, and to ask would make one,
 * of whichever device is the thread's: a GPU that is full refuses that again. */
static int is_stuck(const struct cuda_device *device)
{
    if (!device->stream)
        return 0;
    cudaError_t status = cudaStreamQuery(device->stream);
    (void)cudaGetLastError();
    return status != cudaSuccess && status != cudaErrorNotReady;
}

static void set_lost(struct cuda_device *device)
{
    (void)pthread_mutex_lock(&device->lost_mutex);
    device->is_lost = 1;
    (void)pthread_mutex_unlock(&device->lost_mutex);
}

static int get_lost(struct cuda_device *device)
{
    (void)pthread_mutex_lock(&device->lost_mutex);
    int is_lost = device->is_lost;
    (void)pthread_mutex_unlock(&device->lost_mutex);
    return is_lost;
}

int device_check(struct cuda_device *device, cudaError_t status, const char *what, struct err *err)
{
    if (status == cudaSuccess)
        return 0;
    (void)cudaGetLastError();
    if (status == cudaErrorMemoryAllocation && !is_stuck(device))
        return err_set(err, ERR_NO_MEMORY, "device %d is out of memory: %.120s; %s", device->ordinal, what,
                       share_remedy(device));
    if (!is_loss(status) && !is_stuck(device))
        return err_set(err, ERR_DEVICE, "device %d refused: %s: %.120s", device->ordinal,
                       cudaGetErrorString(status), what);
    set_lost(device);
    return err_set(err, ERR_DEVICE_LOST, "device %d is lost until the process restarts: %s (%d): %.120s",
                   device->ordinal, cudaGetErrorString(status), (int)status, what);
}

/* Whether so little of the device is free that a kernel may not find its place. */
static int is_full(void)
{
    size_t available = 0, total = 0;
    const cudaError_t status = cudaMemGetInfo(&available, &total);
    (void)cudaGetLastError();
    return status == cudaSuccess && available < KERNELS_BYTES;
}

int device_check_blas(struct cuda_device *device, cublasStatus_t status, const char *what, struct err *err)
{
    int is_refused = status == CUBLAS_STATUS_ALLOC_FAILED;
    if (status == CUBLAS_STATUS_SUCCESS)
        return 0;
    /* A failed execution may be a kernel of ours before it: ask the runtime. cuBLASLt brings its own to the
     * device when they are first used, and has no other words where there is no room for them. */
    if (status == CUBLAS_STATUS_EXECUTION_FAILED || status == CUBLAS_STATUS_INTERNAL_ERROR ||
        status == CUBLAS_STATUS_NOT_INITIALIZED) {
        int code = device_check(device, cudaStreamSynchronize(device->stream), what, err);
        if (code)
            return code;
        is_refused = is_full();
    }
    if (is_refused)
        return err_set(err, ERR_NO_MEMORY, "device %d is out of memory: %.120s; %s", device->ordinal, what,
                       share_remedy(device));
    return err_set(err, status == CUBLAS_STATUS_NOT_SUPPORTED ? ERR_UNSUPPORTED : ERR_DEVICE,
                   "device %d: cuBLASLt status %d: %.120s", device->ordinal, (int)status, what);
}

int device_enter(struct cuda_device *device, struct err *err)
{
    if (get_lost(device))
        return err_set(err, ERR_DEVICE_LOST, "device %d is lost until the process restarts", device->ordinal);
    return CUDA_CHECK(device, cudaSetDevice(device->ordinal), err);
}

/* -- Making and freeing ----------------------------------------------------------------------------- */

static int make_pool(struct cuda_device *device, struct err *err)
{
    struct cudaMemPoolProps properties = {.allocType = cudaMemAllocationTypePinned,
                                          .location = {.type = cudaMemLocationTypeDevice}};
    properties.location.id = device->ordinal;
    uint64_t threshold = DEVICE_POOL_KEPT_BYTES, most = device->memory_bytes_max;
    if (most && threshold > most / DEVICE_POOL_KEPT_PARTS)
        threshold = most / DEVICE_POOL_KEPT_PARTS;
    int code = CUDA_CHECK(device, cudaMemPoolCreate(&device->pool, &properties), err);
    if (code)
        return code;
    return CUDA_CHECK(
        device, cudaMemPoolSetAttribute(device->pool, cudaMemPoolAttrReleaseThreshold, &threshold), err);
}

static int make_staging(struct cuda_device *device, struct err *err)
{
    int code = CUDA_CHECK(device,
                          cudaHostAlloc(&device->staging, DEVICE_STAGING_SLOTS * DEVICE_STAGING_SLOT_BYTES,
                                        cudaHostAllocWriteCombined),
                          err);
    for (int i = 0; i < DEVICE_STAGING_SLOTS && !code; i++) {
        device->slots[i].host = (unsigned char *)device->staging + (size_t)i * DEVICE_STAGING_SLOT_BYTES;
        code =
            CUDA_CHECK(device, cudaEventCreateWithFlags(&device->slots[i].sent, cudaEventDisableTiming), err);
    }
    return code;
}

/* The first call for a device makes its context. */
static int make_context(struct cuda_device *device, struct err *err)
{
    cudaError_t status = cudaSetDevice(device->ordinal);
    if (status != cudaErrorDevicesUnavailable)
        return CUDA_CHECK(device, status, err);
    (void)cudaGetLastError();
    return err_set(err, ERR_DEVICE,
                   "device %d is not to be had: another process may have it for itself (its compute mode is "
                   "Exclusive_Process)",
                   device->ordinal);
}

static int make_all(struct cuda_device *device, struct err *err)
{
    int shared = 0, code = make_context(device, err);
    if (code ||
        (code = CUDA_CHECK(device,
                           cudaDeviceGetAttribute(&device->multiprocessor_count,
                                                  cudaDevAttrMultiProcessorCount, device->ordinal),
                           err)) ||
        (code = CUDA_CHECK(
             device,
             cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device->ordinal),
             err)) ||
        (code = CUDA_CHECK(device, cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking), err)) ||
        (code = CUDA_CHECK(device, cudaStreamCreateWithFlags(&device->copy_stream, cudaStreamNonBlocking),
                           err)) ||
        (code = make_pool(device, err)) || (code = share_join(device, err)) ||
        (code = make_staging(device, err)) ||
        (code = BLAS_CHECK(device, cublasLtCreate(&device->blas), err)) ||
        (code = device_take(device, DEVICE_WORKSPACE_BYTES, &device->workspace, err)))
        return code;
    device->shared_bytes_max = (size_t)shared;
    return device_wait(device, err);
}

int device_new(int ordinal, uint64_t memory_bytes_max, struct cuda_device **ret_device, struct err *err)
{
    struct cuda_device *device = calloc(1, sizeof(*device));
    if (!device)
        return err_set(err, ERR_NO_MEMORY, "no memory for a device");
    device->ordinal = ordinal;
    device->memory_bytes_max = memory_bytes_max;
    (void)pthread_mutex_init(&device->lost_mutex, NULL);
    int code = make_all(device, err);
    if (code) {
        device_free(device);
        return code;
    }
    *ret_device = device;
    return 0;
}

void device_free(struct cuda_device *device)
{
    struct err ignored = ERR_INIT;
    if (!device)
        return;
    if (device->kept)
        device->free_kept(device->kept);
    /* Calls into a lost context only fail; what it held goes with the process. */
    if (!device_enter(device, &ignored)) {
        device_drop(device, device->workspace, DEVICE_WORKSPACE_BYTES);
        if (device->stream)
            (void)cudaStreamSynchronize(device->stream);
        if (device->copy_stream) /* copies out of the pinned memory */
            (void)cudaStreamSynchronize(device->copy_stream);
        share_leave(device);
        if (device->blas)
            (void)cublasLtDestroy(device->blas);
        for (int i = 0; i < DEVICE_STAGING_SLOTS; i++)
            if (device->slots[i].sent)
                (void)cudaEventDestroy(device->slots[i].sent);
        if (device->staging)
            (void)cudaFreeHost(device->staging);
        if (device->pool)
            (void)cudaMemPoolDestroy(device->pool);
        if (device->copy_stream)
            (void)cudaStreamDestroy(device->copy_stream);
        if (device->stream)
            (void)cudaStreamDestroy(device->stream);
        (void)cudaGetLastError();
    }
    share_leave(device);
    (void)pthread_mutex_destroy(&device->lost_mutex);
    free(device);
}

/* -- Memory ----------------------------------------------------------------------------------------- */

static int allocate(struct cuda_device *device, size_t rounded, void **ret_memory, struct err *err)
{
    void *memory = NULL;
    cudaError_t status = cudaMallocFromPoolAsync(&memory, rounded, device->pool, device->stream);
    if (status == cudaErrorMemoryAllocation) { /* pieces that the pool keeps may be in the way */
        (void)cudaGetLastError();
        device_trim(device);
        status = cudaMallocFromPoolAsync(&memory, rounded, device->pool, device->stream);
    }
    if (status == cudaErrorMemoryAllocation && !is_stuck(device)) {
        (void)cudaGetLastError();
        return err_set(err, ERR_NO_MEMORY, "device %d has no %.1f MiB more (%.1f MiB are in use here); %s",
                       device->ordinal, (double)rounded / 1048576.0,
                       (double)device->allocated_bytes / 1048576.0, share_remedy(device));
    }
    int code = device_check(device, status, "cudaMallocFromPoolAsync", err);
    if (!code)
        *ret_memory = memory;
    return code;
}

int device_take(struct cuda_device *device, size_t size_bytes, void **ret_memory, struct err *err)
{
    size_t rounded = device_rounded(size_bytes);
    int code = share_claim(device, rounded, err);
    if (code)
        return code;
    if ((code = allocate(device, rounded, ret_memory, err))) {
        share_return(device, rounded);
        return code;
    }
    device->allocated_bytes += rounded;
    if (device->allocated_bytes > device->allocated_max_bytes)
        device->allocated_max_bytes = device->allocated_bytes;
    share_settle(device);
    return 0;
}

void device_drop(struct cuda_device *device, void *memory, size_t size_bytes)
{
    if (!memory)
        return;
    if (!get_lost(device)) {
        (void)cudaFreeAsync(memory, device->stream);
        (void)cudaGetLastError();
    }
    device->allocated_bytes -= device_rounded(size_bytes);
    share_return(device,
                 device_rounded(size_bytes)); /* only now: whoever claims it may wait for the stream */
}

int device_room(struct cuda_device *device, uint64_t *ret_bytes, struct err *err)
{
    size_t available = 0, total = 0;
    uint64_t reserved = 0, used = 0;
    int code;
    if ((code = CUDA_CHECK(device, cudaMemGetInfo(&available, &total), err)) ||
        (code = CUDA_CHECK(
             device, cudaMemPoolGetAttribute(device->pool, cudaMemPoolAttrReservedMemCurrent, &reserved),
             err)) ||
        (code = CUDA_CHECK(device,
                           cudaMemPoolGetAttribute(device->pool, cudaMemPoolAttrUsedMemCurrent, &used), err)))
        return code;
    uint64_t room = available + (reserved > used ? reserved - used : 0), left = share_left(device);
    room = left < room ? left : room;
    *ret_bytes = room - room / 32; /* the pool's pieces leave gaps */
    return 0;
}

void device_trim(struct cuda_device *device)
{
    struct err ignored = ERR_INIT;
    if (device_enter(device, &ignored) || device_wait(device, &ignored))
        return;
    (void)cudaMemPoolTrimTo(device->pool, 0);
    (void)cudaGetLastError();
}

int device_wait(struct cuda_device *device, struct err *err)
{
    return CUDA_CHECK(device, cudaStreamSynchronize(device->stream), err);
}
