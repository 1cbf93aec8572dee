/*
 * A block of CUDA threads on one processor: a fiber per thread. `kernels.h` has the names that CUDA gives.
 *
 * A fiber runs until it meets a barrier of its block or an exchange within its warp, then the next one does.
 * Waiting for what cannot come (a barrier that some threads do not reach, a shuffle of a warp of which some
 * threads have left) ends the program.
 */
#ifndef BIFURCATED_TESTS_EMULATION_H
#define BIFURCATED_TESTS_EMULATION_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

/* Goes on with another stack: keeps the registers that a function must keep on this one and its pointer in
 * *from. (swapcontext asks the kernel twice, and the address sanitizer clears the whole stack's shadow.) */
extern "C" void emulation_switch(void **from, void *to);

namespace emulation
{

constexpr size_t stack_bytes = 64 * 1024;
constexpr unsigned warp_size = 32;

struct index3 {
    unsigned x, y, z;
};

enum class state { ready, at_warp, at_block, done };

struct fiber {
    void *pointer; /* to its stack, while it waits */
    emulation::state state;
    unsigned turn;              /* exchanges so far */
    unsigned char slots[2][24]; /* what it gave in the last two */
};

inline index3 thread, block, threads, grid;
inline std::vector<fiber> fibers;
inline std::vector<unsigned> arrived;               /* threads of each warp that wait for the others of it */
inline unsigned at_block, done;                     /* threads of the block: at its barrier, at their end */
inline std::vector<std::unique_ptr<char[]>> stacks; /* as many as the largest block had threads */
inline void *scheduler;                             /* its stack */
inline unsigned current;
inline void *block_memory;
inline size_t shared_bytes_max = SIZE_MAX; /* of the device */
inline size_t block_bytes;                 /* that the launch gives, and that a kernel declares */
inline std::vector<const void *> declared; /* by the block */
inline std::function<void()> kernel;

[[noreturn]] inline void fail(const char *what)
{
    std::fprintf(stderr, "emulation: block %u, %u, %u: %s\n", block.x, block.y, block.z, what);
    std::exit(1);
}

/* Shared memory that a kernel declares, once for each thread (cut.cmake): what the block before left there
 * goes with the first. */
inline void declare_shared(void *memory, size_t bytes)
{
    if (std::find(declared.begin(), declared.end(), memory) != declared.end())
        return;
    declared.push_back(memory);
    std::memset(memory, 0x7f, bytes);
    if ((block_bytes += bytes) > shared_bytes_max)
        fail("more shared memory than the device has for a block");
}

inline void wait(state reason)
{
    fibers[current].state = reason;
    (reason == state::at_warp ? arrived[current / warp_size] : at_block)++;
    emulation_switch(&fibers[current].pointer, scheduler);
}

inline void run_fiber()
{
    kernel();
    fibers[current].state = state::done;
    done++;
    emulation_switch(&fibers[current].pointer, scheduler);
}

/* Stacks that all began at the same place of a page would push each other out of the processor's caches. */
inline size_t colour_bytes(size_t index)
{
    return index * 7 % 128 * 64;
}

inline void start_fibers()
{
    while (stacks.size() < fibers.size())
        stacks.emplace_back(new char[stack_bytes]);
    for (size_t i = 0; i < fibers.size(); i++) {
        fiber &one = fibers[i];
        one.state = state::ready;
        one.turn = 0;
        /* Six registers, where to go, and a return address that is not used. */
        auto **top = (void **)((uintptr_t)(stacks[i].get() + stack_bytes - colour_bytes(i)) / 16 * 16);
        std::fill(top - 8, top, nullptr);
        top[-2] = (void *)run_fiber;
        one.pointer = top - 8;
    }
}

/* Wakes the warps whose threads have all arrived; whether there were any. */
inline bool release_warps()
{
    bool is_any = false;
    for (size_t warp = 0; warp < arrived.size(); warp++) {
        if (arrived[warp] != warp_size)
            continue;
        const auto begin = fibers.begin() + (long)(warp * warp_size);
        std::for_each(begin, begin + warp_size, [](fiber &one) { one.state = state::ready; });
        arrived[warp] = 0;
        is_any = true;
    }
    return is_any;
}

/* Whether there is more to run. */
inline bool release()
{
    if (release_warps())
        return true;
    if (done == fibers.size())
        return false;
    if (at_block != fibers.size())
        fail("threads wait for others that do not come");
    for (fiber &one : fibers)
        one.state = state::ready;
    at_block = 0;
    return true;
}

/* Numbers that need only look random, and cost next to nothing: xorshift. */
struct quick_random {
    uint64_t state;

    size_t below(size_t count)
    {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (size_t)((state >> 32) * count >> 32);
    }
};

inline void shuffle(unsigned *numbers, size_t count, quick_random &random)
{
    for (size_t i = count; i > 1; i--)
        std::swap(numbers[i - 1], numbers[random.below(i)]);
}

/* Runs the threads of a block until all are done, in changing orders: of a shuffled ring, from anywhere,
 * forwards or backwards. (To shuffle anew at each barrier took a fifth of the tests' time.) */
inline void run_block(size_t memory_bytes, quick_random &random)
{
    const size_t count = fibers.size();
    std::vector<unsigned> order(count);
    /* Nothing is zero before it is written. */
    std::memset(block_memory, 0x7f, memory_bytes + 1);
    block_bytes = memory_bytes;
    declared.clear();
    std::fill(arrived.begin(), arrived.end(), 0U);
    at_block = done = 0;
    start_fibers();
    std::iota(order.begin(), order.end(), 0U);
    shuffle(order.data(), count, random);
    do {
        const size_t step = random.below(2) ? 1 : count - 1;
        size_t place = random.below(count);
        for (size_t i = 0; i < count; i++, place = (place + step) % count) {
            fiber &one = fibers[order[place]];
            if (one.state != state::ready)
                continue;
            current = order[place];
            thread = {current, 0, 0};
            emulation_switch(&scheduler, one.pointer);
        }
    } while (release());
}

/* Runs `call` for every thread of every block; the orders of blocks and of their threads follow from the
 * seed. */
inline void launch(index3 blocks, unsigned thread_count, size_t memory_bytes, unsigned seed,
                   const std::function<void()> &call)
{
    if (memory_bytes > shared_bytes_max)
        fail("more shared memory than the device has for a block");
    std::mt19937 random(seed);
    std::vector<size_t> order((size_t)blocks.x * blocks.y * blocks.z);
    for (size_t i = 0; i < order.size(); i++)
        order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    fibers.resize(thread_count);
    arrived.resize((thread_count + warp_size - 1) / warp_size);
    quick_random quick = {(random() | 1) * 0x9e3779b97f4a7c15};
    grid = blocks;
    threads = {thread_count, 1, 1};
    kernel = call;
    /* 16-byte vectors are aligned. */
    const std::unique_ptr<void, decltype(&std::free)> memory(std::malloc(memory_bytes + 1), &std::free);
    block_memory = memory.get();
    for (size_t i : order) {
        block = {(unsigned)(i % blocks.x), (unsigned)(i / blocks.x % blocks.y),
                 (unsigned)(i / blocks.x / blocks.y)};
        run_block(memory_bytes, quick);
    }
}

/* What the threads of a warp gave in their last exchange; until a thread's next but one. */
template <typename T> struct given {
    unsigned first, turn;

    T operator[](unsigned lane) const
    {
        T value;
        std::memcpy(&value, fibers[first + lane % warp_size].slots[turn], sizeof(value));
        return value;
    }
};

/* Every thread of the warp gives a value to the others. */
template <typename T> given<T> share(T value)
{
    fiber &own = fibers[current];
    const unsigned turn = own.turn++ % 2;
    static_assert(sizeof(value) <= sizeof(own.slots[0]));
    std::memcpy(own.slots[turn], &value, sizeof(value));
    wait(state::at_warp);
    return {current / warp_size * warp_size, turn};
}

/* What thread `from` of the warp gave. */
template <typename T> T exchange(T value, unsigned from)
{
    return share(value)[from];
}

} // namespace emulation

#endif
