#include "tests/emulation/runtime.h"

#include <cuda_runtime_api.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

struct operation {
    std::function<void()> work;
    std::function<bool()> is_ready;
};

struct CUstream_st {
    std::deque<operation> waiting;
};

struct CUevent_st {
    std::shared_ptr<bool> last; /* of the last record; none yet: NULL */
};

struct CUmemPoolHandle_st {
    uint64_t used_bytes;
};

namespace
{

struct injection {
    std::string call;
    unsigned after;
    cudaError_t status;
    bool is_sticky;
};

struct piece {
    size_t size_bytes;
    CUmemPoolHandle_st *pool;
};

std::recursive_mutex gate; /* everything below */
emulation_device device;
std::mt19937 chance;
std::set<CUstream_st *> streams;
std::set<CUevent_st *> events;
std::set<CUmemPoolHandle_st *> pools;
std::map<void *, piece> pieces;
std::map<unsigned char *, size_t> pinned;
std::map<const void *, size_t> kernel_bytes; /* what a kernel was allowed beyond 48 KiB */
std::vector<injection> injections;
cudaError_t sticky;
uint64_t used_bytes, used_max_bytes, occupied_bytes;
size_t object_count;
thread_local cudaError_t last_error;

constexpr size_t plain_shared_bytes = 48 * 1024;
constexpr size_t pattern_bytes = 4 << 20; /* of a piece of memory: enough for what tests put there */

cudaError_t note(cudaError_t status)
{
    if (status != cudaSuccess && status != cudaErrorNotReady)
        last_error = status;
    return status;
}

/* Runs the first work of a random stream whose first work may run; false if there is none. */
bool step()
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
    if (next.work)
        next.work();
    return true;
}

void run_until(const std::function<bool()> &is_done)
{
    while (!is_done())
        if (!step()) {
            std::fprintf(stderr, "emulation: a wait for what nobody does\n");
            std::abort();
        }
}

bool is_pinned(const void *memory)
{
    const auto *at = (const unsigned char *)memory;
    auto found = pinned.upper_bound((unsigned char *)at);
    if (found == pinned.begin())
        return false;
    --found;
    return at < found->first + found->second;
}

void copy_rows(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height)
{
    for (size_t i = 0; i < height; i++)
        std::memcpy((char *)to + i * to_pitch, (const char *)from + i * from_pitch, width);
}

cudaError_t copy(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height,
                 cudaMemcpyKind kind, cudaStream_t stream)
{
    if (width > to_pitch || width > from_pitch)
        return note(cudaErrorInvalidPitchValue);
    if (kind == cudaMemcpyHostToDevice && !is_pinned(from)) {
        auto kept = std::make_shared<std::vector<char>>(width * height);
        copy_rows(kept->data(), width, from, from_pitch, width, height);
        emulation::enqueue(stream, [=] { copy_rows(to, to_pitch, kept->data(), width, width, height); });
        return cudaSuccess;
    }
    emulation::enqueue(stream, [=] { copy_rows(to, to_pitch, from, from_pitch, width, height); });
    /* Ordinary memory has been written when the call returns. */
    if (kind == cudaMemcpyDeviceToHost && !is_pinned(to))
        run_until([=] { return stream->waiting.empty(); });
    return cudaSuccess;
}

} // namespace

void emulation_reset(const struct emulation_device *to)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    device = *to;
    chance.seed(device.seed);
    injections.clear();
    sticky = cudaSuccess;
    used_max_bytes = used_bytes;
    occupied_bytes = 0;
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
    used_bytes = 0;
    object_count = 0;
}

uint64_t emulation_used_bytes(void)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    return used_bytes;
}

uint64_t emulation_used_max_bytes(void)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    return used_max_bytes;
}

void emulation_occupy(uint64_t bytes)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    occupied_bytes = bytes;
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

cudaError_t emulation::begin_call(const char *name)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    if (sticky != cudaSuccess)
        return note(sticky);
    for (size_t i = 0; i < injections.size(); i++) {
        injection &one = injections[i];
        if (one.call != name || --one.after > 0)
            continue;
        const cudaError_t status = one.status;
        if (one.is_sticky)
            sticky = status;
        injections.erase(injections.begin() + (long)i);
        return note(status);
    }
    while (chance() % 100 < device.haste && step())
        ;
    return cudaSuccess;
}

void emulation::launch_checked(const configuration &with, const void *kernel, std::function<void()> call)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    if (begin_call("launch") != cudaSuccess)
        return;
    const size_t allowed = kernel_bytes.count(kernel) ? kernel_bytes[kernel] : plain_shared_bytes;
    const bool is_good = with.grid.x > 0 && with.grid.x < 1U << 31 && with.grid.y > 0 &&
                         with.grid.y < 65536 && with.grid.z > 0 && with.grid.z < 65536 && with.threads > 0 &&
                         with.threads <= 1024 && with.threads % warp_size == 0 &&
                         with.memory_bytes <= allowed;
    if (!is_good) {
        (void)note(cudaErrorInvalidConfiguration);
        return;
    }
    const unsigned seed = chance();
    enqueue(with.stream, [=] {
        launch({with.grid.x, with.grid.y, with.grid.z}, with.threads, with.memory_bytes, seed, call);
    });
}

#define BEGIN()                                                                                              \
    const std::lock_guard<std::recursive_mutex> lock(gate);                                                  \
    if (const cudaError_t begun = emulation::begin_call(__func__); begun != cudaSuccess)                     \
    return begun

/* -- Devices and errors ----------------------------------------------------------------------------- */

extern "C" {

cudaError_t cudaDriverGetVersion(int *version)
{
    BEGIN();
    *version = CUDART_VERSION;
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
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int)
{
    BEGIN();
    *properties = {};
    std::snprintf(properties->name, sizeof(properties->name), "emulated GPU");
    properties->major = 9;
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

cudaError_t cudaSetDevice(int ordinal)
{
    BEGIN();
    return ordinal == 0 ? cudaSuccess : note(cudaErrorInvalidDevice);
}

cudaError_t cudaGetLastError(void)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    const cudaError_t status = sticky != cudaSuccess ? sticky : last_error;
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
    kernel_bytes[kernel] = (size_t)value;
    return cudaSuccess;
}

/* -- Streams and events ----------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    BEGIN();
    *stream = new CUstream_st;
    streams.insert(*stream);
    object_count++;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    BEGIN();
    run_until([=] { return stream->waiting.empty(); });
    streams.erase(stream);
    delete stream;
    object_count--;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    BEGIN();
    run_until([=] { return stream->waiting.empty(); });
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    BEGIN();
    return stream && !stream->waiting.empty() ? cudaErrorNotReady : cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    BEGIN();
    *event = new CUevent_st;
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
    if (const auto reached = event->last)
        run_until([=] { return *reached; });
    return cudaSuccess;
}

/* -- Memory ----------------------------------------------------------------------------------------- */

cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const cudaMemPoolProps *)
{
    BEGIN();
    *pool = new CUmemPoolHandle_st{0};
    pools.insert(*pool);
    object_count++;
    return cudaSuccess;
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool)
{
    BEGIN();
    run_until([=] {
        return std::all_of(streams.begin(), streams.end(),
                           [](CUstream_st *stream) { return stream->waiting.empty(); });
    });
    if (pool->used_bytes) {
        std::fprintf(stderr, "emulation: a pool ends with %llu bytes in use\n",
                     (unsigned long long)pool->used_bytes);
        std::exit(1);
    }
    pools.erase(pool);
    delete pool;
    object_count--;
    return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void *)
{
    BEGIN();
    return cudaSuccess;
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr, void *value)
{
    BEGIN();
    std::memcpy(value, &pool->used_bytes, sizeof(pool->used_bytes)); /* it keeps nothing that is free */
    return cudaSuccess;
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t)
{
    BEGIN();
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    BEGIN();
    const uint64_t taken = used_bytes + occupied_bytes;
    *available = taken < device.memory_bytes ? device.memory_bytes - taken : 0;
    *total = device.memory_bytes;
    return cudaSuccess;
}

cudaError_t cudaMallocFromPoolAsync(void **memory, size_t size, cudaMemPool_t pool, cudaStream_t stream)
{
    BEGIN();
    if (used_bytes + occupied_bytes + size > device.memory_bytes)
        run_until([=] { return stream->waiting.empty(); }); /* what it frees may be had again */
    if (used_bytes + occupied_bytes + size > device.memory_bytes)
        return note(cudaErrorMemoryAllocation);
    void *made = std::aligned_alloc(256, (size + 255) / 256 * 256);
    if (!made)
        return note(cudaErrorMemoryAllocation);
    pieces[made] = {size, pool};
    pool->used_bytes += size;
    used_bytes += size;
    used_max_bytes = std::max(used_max_bytes, used_bytes);
    object_count++;
    emulation::enqueue(stream, [=] { std::memset(made, 0x7f, std::min(size, pattern_bytes)); });
    *memory = made;
    return cudaSuccess;
}

cudaError_t cudaFreeAsync(void *memory, cudaStream_t stream)
{
    BEGIN();
    if (!pieces.count(memory))
        return note(cudaErrorInvalidValue);
    emulation::enqueue(stream, [=] {
        const piece old = pieces[memory];
        pieces.erase(memory);
        old.pool->used_bytes -= old.size_bytes;
        used_bytes -= old.size_bytes;
        object_count--;
        std::free(memory);
    });
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **memory, size_t size, unsigned)
{
    BEGIN();
    *memory = std::aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    pinned[(unsigned char *)*memory] = size;
    object_count++;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *memory)
{
    BEGIN();
    pinned.erase((unsigned char *)memory);
    std::free(memory);
    object_count--;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, cudaMemcpyKind kind, cudaStream_t stream)
{
    BEGIN();
    return copy(to, size, from, size, size, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream)
{
    BEGIN();
    return copy(to, to_pitch, from, from_pitch, width, height, kind, stream);
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t size, cudaStream_t stream)
{
    BEGIN();
    emulation::enqueue(stream, [=] { std::memset(memory, value, size); });
    return cudaSuccess;
}

} // extern "C"
