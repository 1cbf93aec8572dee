/*
 * CUDA's runtime on the processor, for the emulated module: streams, events, pools, pinned memory.
 *
 * Nothing that a stream is given happens at once. Work waits in its stream, and at every call of the runtime
 * a random part of what may run does run, so copies read their source, and kernels their input, as late as
 * the next wait that asks for them, or at any moment before. A buffer that is reused too early, or a wait
 * that is missing between two streams, becomes a wrong result in some order; memory that is freed too early
 * is an error of the address sanitizer. Memory is filled with a pattern when, in the order of its stream, it
 * is allocated.
 *
 * The first half of this header is for tests, in C or C++; the rest for launches (cut.cmake writes them).
 */
#ifndef BIFURCATED_TESTS_EMULATION_RUNTIME_H
#define BIFURCATED_TESTS_EMULATION_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EMULATION_DEVICES_MAX 8

struct emulation_device {
    unsigned seed;  /* of the orders */
    unsigned haste; /* of 100 calls, how many let some work run; 0: as late as possible */
    int multiprocessor_count;
    size_t shared_bytes_max; /* of a block */
    uint64_t memory_bytes;
    int is_exact;     /* algorithms of products do for the rows alone that they were asked for */
    const char *name; /* NULL: "emulated GPU" */
    int capability;   /* 10 * major + minor; 0: 90 */
    int count;        /* of such devices; 0: one; negative: none */
    int driver;       /* of CUDA, as 13000; 0: the headers' own; negative: there is none */
    unsigned lacks;   /* of products, what cuBLASLt does not do: the sum of EMULATION_LACKS_ */
};

#define EMULATION_LACKS_EPILOGUES 1U
#define EMULATION_LACKS_PRODUCTS 2U /* all of them */
#define EMULATION_LACKS_LATE 4U     /* which the product says, and not the search for an algorithm */

/* The devices from now on; what was injected is forgotten. No context is open. */
void emulation_reset(const struct emulation_device *device);

/* After a copy to a device of data that hold these bytes, the device is lost. NULL for none. */
void emulation_poison(const void *bytes, size_t size);

/* The device of a context is this process's alone while it lives, by a lock on a file of this folder. */
void emulation_exclude(const char *folder);

/* The `after`-th use of a call from now on (1: the next; "launch" for kernels) returns `status`; a sticky
 * error is what every later call returns as well. "work" is what a stream does, which only a sticky error can
 * befall: some later call is the first to return it. */
void emulation_inject(const char *call, unsigned after, int status, int is_sticky);

/* Takes back what has not happened yet; how many injections there were. */
size_t emulation_forget(void);

/* Whether a device is lost. */
int emulation_is_lost(void);

/* After a loss: what the module cannot give back any more. */
void emulation_abandon(void);

/* The memory in use now, and at most since emulation_reset; of the first device, as the next one. */
uint64_t emulation_used_bytes(void);
uint64_t emulation_used_max_bytes(void);

/* What its pools had at most since then, used or kept. */
uint64_t emulation_reserved_max_bytes(void);

/* Other programs' share of the memory. */
void emulation_occupy(uint64_t bytes);

/* Pieces of memory, pinned memory, streams and events that exist: 0 after everything was closed. */
size_t emulation_object_count(void);

#ifdef __cplusplus
}

#include "tests/emulation/emulation.h"

#include <driver_types.h>
#include <functional>
#include <tuple>
#include <vector_types.h>

namespace emulation
{

struct configuration {
    dim3 grid;
    unsigned threads;
    size_t memory_bytes;
    cudaStream_t stream;
};

inline configuration configure(dim3 grid, unsigned threads, size_t memory_bytes, cudaStream_t stream)
{
    return {grid, threads, memory_bytes, stream};
}

/* Work for a stream; `is_ready` NULL: as soon as what is before it is done. */
void enqueue(cudaStream_t stream, std::function<void()> work, std::function<bool()> is_ready = nullptr);

/* The number of the calling thread's device. */
int current_device();

/* `bytes` from `memory` on are for work of a device that begins now: of one piece of it, which is there, or
 * the program ends. */
void check_memory(const void *memory, size_t bytes, int ordinal);

/* Ends the program where a kernel that is launched by the module gets what is not its device's memory. */
void check_argument(const void *memory, int ordinal);

/* What an argument of a kernel points to; kernels.h has the structs that hold pointers. */
template <typename T> struct pointers {
    static void check(const T &, int)
    {
    }
};

template <typename T> struct pointers<T *> {
    static void check(const T *memory, int ordinal)
    {
        check_argument(memory, ordinal);
    }
};

/* Checks the limits of a launch and enqueues it. */
void launch_checked(const configuration &with, const void *kernel, std::function<void()> call);

/* As a launch does, copies the arguments now. */
template <typename... Parameters, typename... Arguments>
void launch_later(const configuration &with, void (*kernel)(Parameters...), Arguments... arguments)
{
    std::tuple<std::remove_cv_t<Parameters>...> kept(arguments...);
    const int ordinal = current_device();
    const auto check = [ordinal](const std::remove_cv_t<Parameters> &...each) {
        (pointers<std::remove_cv_t<Parameters>>::check(each, ordinal), ...);
    };
    launch_checked(with, (const void *)kernel, [kernel, kept, check] {
        if (current == 0)
            std::apply(check, kept);
        std::apply(kernel, kept);
    });
}

/* Of the device. */
bool is_exact();
unsigned lacks();

/* Whether a stream belongs to it. */
bool is_current(cudaStream_t stream);

/* The thread's last error; returns it. */
cudaError_t note(cudaError_t status);

/* 0, or the error that this use of a call is to have; also lets other work run. */
cudaError_t begin_call(const char *name);

} // namespace emulation

#endif

#endif
