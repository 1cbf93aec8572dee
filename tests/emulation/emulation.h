/*
 * A block of CUDA threads on one processor: a fiber per thread. `kernels.h` has the names that CUDA gives.
 *
 * A fiber runs until it meets a barrier of its block or an exchange within its warp, then the next one does.
 * Waiting for what cannot come (a barrier that some threads do not reach, a shuffle of a warp of which some
 * threads have left) ends the program.
 */
#ifndef BIFURCATED_TESTS_EMULATION_H
#define BIFURCATED_TESTS_EMULATION_H

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

namespace emulation
{

constexpr unsigned warp_size = 32;
constexpr size_t slot_bytes = 48; /* the largest value that a warp exchanges */

struct index3 {
    unsigned x, y, z;
};

enum class state { ready, at_warp, at_block, done };

extern index3 thread, block, threads, grid;
extern unsigned current;
extern void *block_memory;
extern size_t shared_bytes_max; /* of a block; as many as a program likes until it says */

/* Runs `call` for every thread of every block; the orders of blocks and of their threads follow from the
 * seed. */
void launch(index3 blocks, unsigned thread_count, size_t memory_bytes, unsigned seed,
            const std::function<void()> &call);

[[noreturn]] void fail(const char *what);

/* Shared memory that a kernel declares, once for each thread (cut.cmake): what the block before left there
 * goes with the first. */
void declare_shared(void *memory, size_t bytes);

/* Until all of the warp, or of the block, do. */
void wait(state reason);

/* Gives a value of at most slot_bytes to the warp, and returns once every thread of it has: what its threads
 * gave, slot_bytes apart, until a thread's next exchange but one. */
const unsigned char *give(const void *value, size_t bytes);

/* Gives it, and puts what thread `from` of the warp gave in its place. */
void swap(void *value, size_t bytes, unsigned from);

/* What the threads of a warp gave in their last exchange; until a thread's next but one. */
template <typename T> struct given {
    const unsigned char *first;

    T operator[](unsigned lane) const
    {
        T value;
        std::memcpy(&value, first + lane % warp_size * slot_bytes, sizeof(value));
        return value;
    }
};

/* Every thread of the warp gives a value to the others. */
template <typename T> given<T> share(const T &value)
{
    static_assert(sizeof(value) <= slot_bytes);
    return {give(&value, sizeof(value))};
}

/* What thread `from` of the warp gave. */
template <typename T> T exchange(T value, unsigned from)
{
    static_assert(sizeof(value) <= slot_bytes);
    swap(&value, sizeof(value), from);
    return value;
}

} // namespace emulation

#endif
