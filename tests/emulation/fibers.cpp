/*
 * The fibers of emulation.h. Compiled for speed and without sanitizers, which look at the kernels: of this
 * there is so much that it took half of the tests' time.
 */
#include "tests/emulation/emulation.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

/* Goes on with another stack: keeps the registers that a function must keep on this one and its pointer in
 * *from. (swapcontext asks the kernel twice, and the address sanitizer clears the whole stack's shadow.) */
extern "C" void emulation_switch(void **from, void *to);

namespace emulation
{

index3 thread, block, threads, grid;
unsigned current;
void *block_memory;
size_t shared_bytes_max = SIZE_MAX;

} // namespace emulation

using namespace emulation;

namespace
{

constexpr size_t stack_bytes = 64 * 1024;

struct fiber {
    void *pointer; /* to its stack, while it waits */
    emulation::state state;
    unsigned turn; /* exchanges so far */
    size_t given;  /* bytes in the exchange that it waits in; 0: none, a barrier */
};

struct slot {
    unsigned char bytes[slot_bytes];
};

std::vector<fiber> fibers;
std::vector<slot> slots[2];                  /* what each gave in its last two exchanges */
std::vector<unsigned> arrived;               /* threads of each warp that wait for the others of it */
unsigned at_block, done;                     /* threads of the block: at its barrier, at their end */
std::vector<std::unique_ptr<char[]>> stacks; /* as many as the largest block had threads */
void *scheduler;                             /* its stack */
size_t block_bytes;                          /* that the launch gives, and that a kernel declares */
std::vector<const void *> declared;          /* by the block */
const std::function<void()> *kernel;

/* The order in which threads run, as a ring: how many of it are still to come, from where, and which way. */
std::vector<unsigned> order;
size_t left, place;
bool is_forwards;

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

/* Goes on with the next thread of the ring that is ready, or, where there is none, with the scheduler. */
void pass_on(void **from)
{
    const size_t last = order.size() - 1;
    while (left) {
        const unsigned next = order[place];
        left--;
        if (is_forwards)
            place = place == last ? 0 : place + 1;
        else
            place = place ? place - 1 : last;
        if (fibers[next].state != state::ready)
            continue;
        current = next;
        thread.x = next;
        emulation_switch(from, fibers[next].pointer);
        return;
    }
    emulation_switch(from, scheduler);
}

void run_fiber()
{
    (*kernel)();
    fibers[current].state = state::done;
    done++;
    pass_on(&fibers[current].pointer);
}

/* Stacks that all began at the same place of a page would push each other out of the processor's caches. */
size_t colour_bytes(size_t index)
{
    return index * 7 % 128 * 64;
}

void start_fibers()
{
    while (stacks.size() < fibers.size())
        stacks.emplace_back(new char[stack_bytes]);
    for (size_t i = 0; i < fibers.size(); i++) {
        fiber &one = fibers[i];
        one.state = state::ready;
        one.turn = 0;
        one.given = 0;
        /* Six registers, where to go, and a return address that is not used. */
        auto **top = (void **)((uintptr_t)(stacks[i].get() + stack_bytes - colour_bytes(i)) / 16 * 16);
        std::fill(top - 8, top, nullptr);
        top[-2] = (void *)run_fiber;
        one.pointer = top - 8;
    }
}

/* Wakes the warps whose threads have all arrived; whether there were any. */
bool release_warps()
{
    bool is_any = false;
    for (size_t warp = 0; warp < arrived.size(); warp++) {
        if (arrived[warp] != warp_size)
            continue;
        const auto begin = fibers.begin() + (long)(warp * warp_size);
        const size_t given = begin->given;
        std::for_each(begin, begin + warp_size, [given](fiber &one) {
            if (one.given != given)
                fail("threads of a warp meet in different calls");
            one.state = state::ready;
        });
        arrived[warp] = 0;
        is_any = true;
    }
    return is_any;
}

/* Whether there is more to run. */
bool release()
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

void shuffle(std::vector<unsigned> &numbers, quick_random &random)
{
    for (size_t i = numbers.size(); i > 1; i--)
        std::swap(numbers[i - 1], numbers[random.below(i)]);
}

/* Runs the threads of a block until all are done, in changing orders: of a shuffled ring, from anywhere,
 * forwards or backwards. (To shuffle anew at each barrier took a fifth of the tests' time.) */
void run_block(size_t memory_bytes, quick_random &random)
{
    /* Nothing is zero before it is written. */
    std::memset(block_memory, 0x7f, memory_bytes + 1);
    block_bytes = memory_bytes;
    declared.clear();
    std::fill(arrived.begin(), arrived.end(), 0U);
    at_block = done = 0;
    start_fibers();
    std::iota(order.begin(), order.end(), 0U);
    shuffle(order, random);
    thread = {0, 0, 0};
    do {
        left = order.size();
        is_forwards = random.below(2);
        place = random.below(left);
        pass_on(&scheduler);
    } while (release());
}

} // namespace

void emulation::fail(const char *what)
{
    std::fprintf(stderr, "emulation: block %u, %u, %u: %s\n", block.x, block.y, block.z, what);
    std::exit(1);
}

void emulation::declare_shared(void *memory, size_t bytes)
{
    if (std::find(declared.begin(), declared.end(), memory) != declared.end())
        return;
    declared.push_back(memory);
    std::memset(memory, 0x7f, bytes);
    if ((block_bytes += bytes) > shared_bytes_max)
        fail("more shared memory than a block may have");
}

void emulation::wait(state reason)
{
    fiber &own = fibers[current];
    own.state = reason;
    (reason == state::at_warp ? arrived[current / warp_size] : at_block)++;
    pass_on(&own.pointer);
}

/* As memcpy, which the address sanitizer's library takes over wherever it is called: of the usual sizes none
 * is. */
static void copy(void *to, const void *from, size_t bytes)
{
    switch (bytes) {
    case 4:
        std::memcpy(to, from, 4);
        break;
    case 8:
        std::memcpy(to, from, 8);
        break;
    case slot_bytes:
        std::memcpy(to, from, slot_bytes);
        break;
    default:
        std::memcpy(to, from, bytes);
    }
}

const unsigned char *emulation::give(const void *value, size_t bytes)
{
    const unsigned own = current;
    std::vector<slot> &all = slots[fibers[own].turn++ % 2];
    copy(all[own].bytes, value, bytes);
    fibers[own].given = bytes;
    wait(state::at_warp);
    fibers[own].given = 0;
    return all[own / warp_size * warp_size].bytes;
}

void emulation::swap(void *value, size_t bytes, unsigned from)
{
    copy(value, give(value, bytes) + from % warp_size * slot_bytes, bytes);
}

void emulation::launch(index3 blocks, unsigned thread_count, size_t memory_bytes, unsigned seed,
                       const std::function<void()> &call)
{
    if (memory_bytes > shared_bytes_max)
        fail("more shared memory than a block may have");
    std::mt19937 random(seed);
    std::vector<size_t> block_order((size_t)blocks.x * blocks.y * blocks.z);
    std::iota(block_order.begin(), block_order.end(), (size_t)0);
    std::shuffle(block_order.begin(), block_order.end(), random);
    fibers.resize(thread_count);
    order.resize(thread_count);
    for (auto &one : slots)
        one.resize(thread_count);
    arrived.resize((thread_count + warp_size - 1) / warp_size);
    quick_random quick = {(random() | 1) * 0x9e3779b97f4a7c15};
    grid = blocks;
    threads = {thread_count, 1, 1};
    kernel = &call;
    /* 16-byte vectors are aligned. */
    const std::unique_ptr<void, decltype(&std::free)> memory(std::malloc(memory_bytes + 1), &std::free);
    block_memory = memory.get();
    for (size_t i : block_order) {
        block = {(unsigned)(i % blocks.x), (unsigned)(i / blocks.x % blocks.y),
                 (unsigned)(i / blocks.x / blocks.y)};
        run_block(memory_bytes, quick);
    }
}
