/* Pools, pinned memory and copies of the emulated runtime. */
#include "tests/emulation/state.h"

#include <algorithm>

using namespace emulation;

namespace
{

constexpr size_t pattern_bytes = 4 << 20; /* of a piece of memory: enough for what tests put there */

bool is_pinned(const void *memory)
{
    const auto *at = (const unsigned char *)memory;
    auto found = pinned.upper_bound((unsigned char *)at);
    if (found == pinned.begin())
        return false;
    --found;
    return at < found->first + found->second;
}

/* From the first byte of a row to the last of the last one. */
size_t extent(size_t pitch, size_t width, size_t height)
{
    return width && height ? (height - 1) * pitch + width : 0;
}

void copy_rows(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height)
{
    for (size_t i = 0; i < height; i++)
        std::memcpy((char *)to + i * to_pitch, (const char *)from + i * from_pitch, width);
}

cudaError_t copy(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height,
                 cudaMemcpyKind kind, cudaStream_t stream)
{
    one_device &taken = devices[stream->ordinal];
    if (width > to_pitch || width > from_pitch ||
        (height > 1 && std::max(to_pitch, from_pitch) > INT32_MAX)) /* cudaDeviceProp.memPitch */
        return note(cudaErrorInvalidPitchValue);
    if (kind != cudaMemcpyHostToDevice) {
        emulation::enqueue(stream, [=] {
            check_memory(from, extent(from_pitch, width, height), stream->ordinal);
            copy_rows(to, to_pitch, from, from_pitch, width, height);
        });
        /* Ordinary memory has been written when the call returns. */
        if (kind == cudaMemcpyDeviceToHost && !is_pinned(to))
            return run_until([=] { return stream->waiting.empty(); });
        return cudaSuccess;
    }
    std::shared_ptr<std::vector<char>> kept; /* of ordinary memory: as it is now */
    if (!is_pinned(from)) {
        kept = std::make_shared<std::vector<char>>(width * height);
        copy_rows(kept->data(), width, from, from_pitch, width, height);
        from = kept->data();
        from_pitch = width;
    }
    emulation::enqueue(stream, [=, &taken] {
        check_memory(to, extent(to_pitch, width, height), stream->ordinal);
        copy_rows(to, to_pitch, from, from_pitch, width, height);
        (void)kept;
        for (size_t i = 0; i < height && !poison.empty(); i++)
            if (memmem((const char *)from + i * from_pitch, width, poison.data(), poison.size()))
                taken.sticky = cudaErrorIllegalAddress;
    });
    return cudaSuccess;
}

/* What a pool has is the device's until it is given back. */
void reserve(CUmemPoolHandle_st *pool, uint64_t bytes)
{
    one_device &from = devices[pool->ordinal];
    from.reserved_bytes += bytes - pool->reserved_bytes;
    from.reserved_max_bytes = std::max(from.reserved_max_bytes, from.reserved_bytes);
    pool->reserved_bytes = bytes;
}

} // namespace

void emulation::check_memory(const void *memory, size_t bytes, int ordinal)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    const auto *at = (const char *)memory;
    if (!bytes)
        return;
    auto found = pieces.upper_bound((void *)memory);
    if (found == pieces.begin())
        fail("memory that is not the device's");
    const auto *begin = (const char *)(--found)->first;
    if (at >= begin + found->second.size_bytes)
        fail("memory that is not the device's");
    if (bytes > found->second.size_bytes - (size_t)(at - begin))
        fail("more than a piece of memory has");
    if (found->second.pool->ordinal != ordinal)
        fail("another device's memory");
    if (!found->second.is_there)
        fail("memory before it is there, in the order of its stream");
}

/* Tests launch kernels by themselves, too, without pools. */
void emulation::check_argument(const void *memory, int ordinal)
{
    const std::lock_guard<std::recursive_mutex> lock(gate);
    if (memory && !pools.empty())
        check_memory(memory, 1, ordinal);
}

void emulation::trim(CUmemPoolHandle_st *pool, uint64_t to_bytes)
{
    if (pool->reserved_bytes > to_bytes)
        reserve(pool, std::max(std::min(pool->used_bytes, pool->reserved_bytes), to_bytes));
}

extern "C" {

cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const cudaMemPoolProps *properties)
{
    BEGIN();
    *pool = new CUmemPoolHandle_st{properties->location.id, 0, 0, 0, 0};
    pools.insert(*pool);
    object_count++;
    return cudaSuccess;
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool)
{
    BEGIN();
    if (const cudaError_t lost = run_until([=] {
            return std::all_of(streams.begin(), streams.end(),
                               [](CUstream_st *stream) { return stream->waiting.empty(); });
        }))
        return lost;
    if (pool->used_bytes) {
        std::fprintf(stderr, "emulation: a pool ends with %llu bytes in use\n",
                     (unsigned long long)pool->used_bytes);
        std::exit(1);
    }
    reserve(pool, 0);
    pools.erase(pool);
    delete pool;
    object_count--;
    return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void *value)
{
    BEGIN();
    if (attribute != cudaMemPoolAttrReleaseThreshold)
        return note(cudaErrorInvalidValue);
    std::memcpy(&pool->threshold_bytes, value, sizeof(pool->threshold_bytes));
    return cudaSuccess;
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void *value)
{
    BEGIN();
    if (attribute != cudaMemPoolAttrReservedMemCurrent && attribute != cudaMemPoolAttrUsedMemCurrent)
        return note(cudaErrorInvalidValue);
    const bool is_used = attribute == cudaMemPoolAttrUsedMemCurrent;
    std::memcpy(value, is_used ? &pool->used_bytes : &pool->reserved_bytes, sizeof(pool->used_bytes));
    return cudaSuccess;
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t size)
{
    BEGIN();
    trim(pool, size);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    BEGIN();
    const uint64_t taken = own().reserved_bytes + own().occupied_bytes;
    *available = taken < device.memory_bytes ? device.memory_bytes - taken : 0;
    *total = device.memory_bytes;
    return cudaSuccess;
}

cudaError_t cudaMallocFromPoolAsync(void **memory, size_t size, cudaMemPool_t pool, cudaStream_t stream)
{
    BEGIN();
    one_device &from = devices[pool->ordinal];
    if (pool->ordinal != stream->ordinal)
        return note(cudaErrorInvalidResourceHandle);
    const auto wanted = [&] { return pool->used_bytes - pool->freed_bytes + size; };
    const auto is_full = [&] {
        const uint64_t more = wanted() - std::min(wanted(), pool->reserved_bytes);
        return from.reserved_bytes + from.occupied_bytes + more > device.memory_bytes;
    };
    if (is_full()) /* what it frees may be had again */
        if (const cudaError_t lost = run_until([=] { return stream->waiting.empty(); }))
            return lost;
    if (is_full())
        return note(cudaErrorMemoryAllocation);
    void *made = std::aligned_alloc(256, (size + 255) / 256 * 256);
    if (!made)
        return note(cudaErrorMemoryAllocation);
    pieces[made] = {size, pool, false};
    reserve(pool, std::max(pool->reserved_bytes, wanted()));
    pool->used_bytes += size;
    from.used_bytes += size;
    from.used_max_bytes = std::max(from.used_max_bytes, from.used_bytes);
    object_count++;
    emulation::enqueue(stream, [=] {
        pieces[made].is_there = true;
        std::memset(made, 0x7f, std::min(size, pattern_bytes));
    });
    *memory = made;
    return cudaSuccess;
}

cudaError_t cudaFreeAsync(void *memory, cudaStream_t stream)
{
    BEGIN();
    if (!pieces.count(memory))
        return note(cudaErrorInvalidValue);
    pieces[memory].pool->freed_bytes += pieces[memory].size_bytes;
    emulation::enqueue(stream, [=] {
        const piece old = pieces[memory];
        pieces.erase(memory);
        old.pool->freed_bytes -= old.size_bytes;
        old.pool->used_bytes -= old.size_bytes;
        devices[old.pool->ordinal].used_bytes -= old.size_bytes;
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
    emulation::enqueue(stream, [=] {
        check_memory(memory, size, stream->ordinal);
        std::memset(memory, value, size);
    });
    return cudaSuccess;
}

} // extern "C"
