#include "tests/emulation/state.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

/* (optional) Sets the devices before the first call: the module's, which nobody else does. */
extern "C" __attribute__((weak)) void emulation_prepare(void);

using namespace emulation;

constexpr size_t plain_shared_bytes = 48 * 1024;

cudaError_t emulation::note(cudaError_t status)
{
    if (status != cudaSuccess && status != cudaErrorNotReady)
        last_error = status;
    return status;
}

/* The status that this use of a call is to have. */
static cudaError_t take_injection(const char *name, int ordinal)
{
    for (size_t i = 0; i < injections.size(); i++) {
        injection &one = injections[i];
        if (one.call != name || --one.after > 0)
            continue;
        const cudaError_t status = one.status;
        while (status == emulation::hangs) /* with the gate */
            pause();
        if (one.is_sticky)
            devices[ordinal].sticky = status;
        injections.erase(injections.begin() + (long)i);
        return status;
    }
    return cudaSuccess;
}

/* Runs the first work of a random stream whose first work may run; false if there is none. A lost device does
 * nothing any more. */
static bool step()
{
    std::vector<CUstream_st *> ready;
    for (CUstream_st *stream : streams)
        if (!stream->waiting.empty() &&
            (!stream->waiting.front().is_ready || stream->waiting.front().is_ready()))
            ready.push_back(stream);
    if (ready.empty())
        return false;
    std::sort(ready.begin(), ready.end());
    CUstream_st *chosen = ready[chance() % ready.size()];
    const operation next = chosen->waiting.front();
    chosen->waiting.pop_front();
    if (!next.work || devices[chosen->ordinal].sticky != cudaSuccess)
        return true;
    if (take_injection("work", chosen->ordinal) == cudaSuccess)
        next.work();
    return true;
}

cudaError_t emulation::run_until(const std::function<bool()> &is_done)
{
    while (own().sticky == cudaSuccess && !is_done())
        if (!step()) {
            std::fprintf(stderr, "emulation: a wait for what nobody does\n");
            std::abort();
        }
    return note(own().sticky);
}

void emulation_reset(const struct emulation_device *to)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    device = *to;
    chance.seed(device.seed);
    injections.clear();
    device.count = device.count ? device.count : 1;
    for (one_device &one : devices)
        one = {cudaSuccess, one.used_bytes, one.used_bytes, one.reserved_bytes, one.reserved_bytes, 0, false,
               {}};
    poison.clear();
    if (object_count) {
        std::fprintf(stderr, "emulation: %zu objects were left\n", object_count);
        std::exit(1);
    }
}

void emulation_inject(const char *call, unsigned after, int status, int is_sticky)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    injections.push_back({call, after, (cudaError_t)status, is_sticky != 0});
}

size_t emulation_forget(void)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    const size_t count = injections.size();
    injections.clear();
    return count;
}

void emulation_poison(const void *bytes, size_t size)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    poison.assign((const char *)bytes, size);
}

void emulation_exclude(const char *folder)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    lock_folder = folder;
}

int emulation_is_lost(void)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    return std::any_of(std::begin(devices), std::end(devices),
                       [](const one_device &one) { return one.sticky != cudaSuccess; });
}

void emulation_abandon(void)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    for (CUstream_st *stream : streams)
        delete stream;
    for (const auto &one : pieces)
        std::free(one.first);
    for (const auto &one : pinned)
        std::free(one.first);
    for (CUevent_st *event : events)
        delete event;
    for (CUmemPoolHandle_st *pool : pools)
        delete pool;
    streams.clear();
    pieces.clear();
    pinned.clear();
    events.clear();
    pools.clear();
    for (one_device &one : devices)
        one.used_bytes = one.reserved_bytes = 0;
    object_count = 0;
}

uint64_t emulation_used_bytes(void)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    return devices[0].used_bytes;
}

uint64_t emulation_used_max_bytes(void)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    return devices[0].used_max_bytes;
}

uint64_t emulation_reserved_max_bytes(void)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    return devices[0].reserved_max_bytes;
}

void emulation_occupy(uint64_t bytes)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    devices[0].occupied_bytes = bytes;
}

size_t emulation_object_count(void)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    return object_count;
}

void emulation::enqueue(cudaStream_t stream, std::function<void()> work, std::function<bool()> is_ready)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    if (!streams.count(stream)) {
        std::fprintf(stderr, "emulation: work for a stream that does not exist\n");
        std::abort();
    }
    stream->waiting.push_back({std::move(work), std::move(is_ready)});
}

bool emulation::is_exact()
{
    return device.is_exact != 0;
}

unsigned emulation::lacks()
{
    return device.lacks;
}

int emulation::current_device()
{
    return current_ordinal;
}

bool emulation::is_current(cudaStream_t stream)
{
    return stream->ordinal == current_ordinal;
}

cudaError_t emulation::begin_call(const char *name)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    static const bool is_prepared = (emulation_prepare ? emulation_prepare() : (void)0, true);
    (void)is_prepared;
    if (own().sticky != cudaSuccess)
        return note(own().sticky);
    if (const cudaError_t status = take_injection(name, current_ordinal); status != cudaSuccess)
        return note(status);
    while (chance() % 100 < device.haste && step())
        ;
    return cudaSuccess;
}

void emulation::launch_checked(const configuration &with, const void *kernel, std::function<void()> call)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    if (begin_call("launch") != cudaSuccess)
        return;
    if (!is_current(with.stream)) {
        (void)note(cudaErrorInvalidResourceHandle);
        return;
    }
    const auto &kernel_bytes = own().kernel_bytes;
    const size_t allowed = kernel_bytes.count(kernel) ? kernel_bytes.at(kernel) : plain_shared_bytes;
    const bool is_good = with.grid.x > 0 && with.grid.x < 1U << 31 && with.grid.y > 0 &&
                         with.grid.y < 65536 && with.grid.z > 0 && with.grid.z < 65536 && with.threads > 0 &&
                         with.threads <= 1024 && with.threads % warp_size == 0 &&
                         with.memory_bytes <= allowed;
    if (!is_good) {
        (void)note(cudaErrorInvalidConfiguration);
        return;
    }
    const unsigned seed = chance();
    /* What a kernel declares is beside what it is allowed to be given, or together with it within 48 KiB. */
    const size_t least = std::min(plain_shared_bytes, device.shared_bytes_max),
                 most = kernel_bytes.count(kernel) ? device.shared_bytes_max - allowed + with.memory_bytes
                                                   : least;
    enqueue(with.stream, [=] {
        shared_bytes_max = most;
        launch({with.grid.x, with.grid.y, with.grid.z}, with.threads, with.memory_bytes, seed, call);
    });
}

/* Refused where another process has the device for itself, or nothing is left of its memory. */
static cudaError_t begin_context()
{
    if (own().has_context)
        return cudaSuccess;
    if (own().reserved_bytes + own().occupied_bytes >= device.memory_bytes)
        return cudaErrorMemoryAllocation;
    if (!lock_folder.empty()) {
        const std::string path = lock_folder + "/" + std::to_string(current_ordinal);
        const int file = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600); /* until the process ends */
        if (file < 0 || flock(file, LOCK_EX | LOCK_NB) != 0)
            return cudaErrorDevicesUnavailable;
    }
    own().has_context = true;
    return cudaSuccess;
}

/* -- Devices and errors ----------------------------------------------------------------------------- */

extern "C" {

cudaError_t cudaDriverGetVersion(int *version)
{
    BEGIN();
    *version = device.driver < 0 ? 0 : device.driver ? device.driver : CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    BEGIN();
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    BEGIN();
    *count = std::max(device.count, 0);
    return device.count < 0 ? note(cudaErrorNoDevice) : cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int)
{
    BEGIN();
    const int capability = device.capability ? device.capability : 90;
    *properties = {};
    std::snprintf(properties->name, sizeof(properties->name), "%s",
                  device.name ? device.name : "emulated GPU");
    properties->major = capability / 10;
    properties->minor = capability % 10;
    properties->multiProcessorCount = device.multiprocessor_count;
    properties->totalGlobalMem = device.memory_bytes;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int)
{
    BEGIN();
    *value = attribute == cudaDevAttrMultiProcessorCount            ? device.multiprocessor_count
             : attribute == cudaDevAttrMaxSharedMemoryPerBlockOptin ? (int)device.shared_bytes_max
                                                                    : 0;
    return cudaSuccess;
}

/* As since CUDA 12, makes the device's context. */
cudaError_t cudaSetDevice(int ordinal)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    const int before = current_ordinal;
    if (ordinal < 0 || ordinal >= device.count)
        return note(cudaErrorInvalidDevice);
    current_ordinal = ordinal;
    cudaError_t status = begin_call(__func__);
    if (status == cudaSuccess)
        status = note(begin_context());
    if (status != cudaSuccess)
        current_ordinal = before;
    return status;
}

cudaError_t cudaGetLastError(void)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    const cudaError_t status = own().sticky != cudaSuccess ? own().sticky : last_error;
    last_error = cudaSuccess;
    return status;
}

const char *cudaGetErrorString(cudaError_t)
{
    return "an emulated error";
}

cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value)
{
    BEGIN();
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        (size_t)value > device.shared_bytes_max)
        return note(cudaErrorInvalidValue);
    own().kernel_bytes[kernel] = (size_t)value;
    return cudaSuccess;
}

/* -- Streams and events ----------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    BEGIN();
    *stream = new CUstream_st{current_ordinal, {}};
    streams.insert(*stream);
    object_count++;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    BEGIN();
    if (const cudaError_t lost = run_until([=] { return stream->waiting.empty(); }))
        return lost;
    streams.erase(stream);
    delete stream;
    object_count--;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    BEGIN();
    if (const cudaError_t lost = run_until([=] { return stream->waiting.empty(); }))
        return lost;
    for (CUmemPoolHandle_st *pool : pools)
        if (pool->ordinal == stream->ordinal)
            trim(pool, pool->threshold_bytes);
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    BEGIN();
    if (!stream) /* the default one is its context's, which it makes */
        return note(begin_context());
    return stream->waiting.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    BEGIN();
    *event = new CUevent_st{current_ordinal, nullptr};
    events.insert(*event);
    object_count++;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    BEGIN();
    events.erase(event);
    delete event;
    object_count--;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    BEGIN();
    if (event->ordinal != stream->ordinal)
        return note(cudaErrorInvalidResourceHandle);
    auto reached = std::make_shared<bool>(false);
    event->last = reached;
    emulation::enqueue(stream, [=] { *reached = true; });
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    BEGIN();
    if (const auto reached = event->last)
        emulation::enqueue(stream, nullptr, [=] { return *reached; });
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    BEGIN();
    const auto reached = event->last;
    return reached ? run_until([=] { return *reached; }) : cudaSuccess;
}

} // extern "C"
