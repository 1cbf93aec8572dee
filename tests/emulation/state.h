/*
 * What the parts of the emulated runtime share: streams, devices, memory. All under one lock.
 */
#ifndef BIFURCATED_TESTS_EMULATION_STATE_H
#define BIFURCATED_TESTS_EMULATION_STATE_H

#include "tests/emulation/runtime.h"

#include <cuda_runtime_api.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

struct operation {
    std::function<void()> work;
    std::function<bool()> is_ready;
};

/* Streams, events and pools belong to the device that was the thread's when they were made. */
struct CUstream_st {
    int ordinal;
    std::deque<operation> waiting;
};

struct CUevent_st {
    int ordinal;
    std::shared_ptr<bool> last; /* of the last record; none yet: NULL */
};

struct CUmemPoolHandle_st {
    int ordinal;
    uint64_t used_bytes;
    uint64_t reserved_bytes, threshold_bytes; /* it keeps so much of what was freed */
    uint64_t freed_bytes; /* of those in use: in the order of their stream, which may have them again */
};

namespace emulation
{

constexpr cudaError_t hangs = cudaErrorLaunchTimeout; /* an injection: the call never returns */

struct injection {
    std::string call;
    unsigned after;
    cudaError_t status;
    bool is_sticky;
};

struct piece {
    size_t size_bytes;
    CUmemPoolHandle_st *pool;
    bool is_there; /* in the order of its stream */
};

struct one_device {
    cudaError_t sticky;
    uint64_t used_bytes, used_max_bytes, reserved_bytes, reserved_max_bytes, occupied_bytes;
    bool has_context;
    std::map<const void *, size_t> kernel_bytes; /* what a kernel was allowed beyond 48 KiB */
};

inline std::recursive_mutex gate; /* everything below */
inline emulation_device device;   /* all are alike */
inline one_device devices[EMULATION_DEVICES_MAX];
inline std::string poison, lock_folder;
inline std::mt19937 chance;
inline std::set<CUstream_st *> streams;
inline std::set<CUevent_st *> events;
inline std::set<CUmemPoolHandle_st *> pools;
inline std::map<void *, piece> pieces;
inline std::map<unsigned char *, size_t> pinned;
inline std::vector<injection> injections;
inline size_t object_count;
inline thread_local cudaError_t last_error;
inline thread_local int current_ordinal; /* each thread begins with the first device */

/* The calling thread's. */
inline one_device &own()
{
    return devices[current_ordinal];
}

/* After a wait: a pool that has reserved more than its threshold gives back what is free. */
void trim(CUmemPoolHandle_st *pool, uint64_t to_bytes);

/* Runs work of any streams until `is_done` or the thread's device is lost, which it returns; what never comes
 * ends the program. */
cudaError_t run_until(const std::function<bool()> &is_done);

} // namespace emulation

/* First in each call of the runtime. */
#define BEGIN()                                                                                              \
    const std::lock_guard<std::recursive_mutex> lock(emulation::gate);                                       \
    if (const cudaError_t begun = emulation::begin_call(__func__); begun != cudaSuccess)                     \
    return begun

#endif
