/*
 * The instructions of gpu/cuda/score_mma.cuh as PTX documents them, on fibers. Of the matrix units, each lane
 * gives its fragment, and forms its own part of the result from everybody's. Copies that are not waited for
 * happen at once or as late as they may, when their thread waits for them.
 */
#ifndef BIFURCATED_TESTS_EMULATION_MMA_H
#define BIFURCATED_TESTS_EMULATION_MMA_H

#include "tests/emulation/emulation.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <deque>
#include <random>
#include <vector>

namespace emulation
{

/* A lane's part of the product's 16 x 8 numbers, of the left matrix' 16 x 16, and of the right one's 16 x 8
 * halves. */
struct part {
    float c[4];
};

struct fragments {
    uint32_t a[4], b[2];
};

/* c and the product (mma.cpp). */
part multiply_add_part(part c, const fragments &own, __half);
part multiply_add_part(part c, const fragments &own, __nv_bfloat16);

/* What a kernel has of its own is read and written here, where the sanitizers look. */
template <typename T> void multiply_add_on(float *c, const uint32_t *a, uint32_t b0, uint32_t b1)
{
    const part sum = multiply_add_part({{c[0], c[1], c[2], c[3]}}, {{a[0], a[1], a[2], a[3]}, {b0, b1}}, T());
    for (unsigned i = 0; i < 4; i++)
        c[i] = sum.c[i];
}

/* The eight 16-bit elements of a row, whose address must be a multiple of 16. */
inline void load_blocks_on(uint32_t *to, const void *row, bool is_transposed)
{
    if ((uintptr_t)row % 16)
        fail("a row of a matrix load is not aligned to 16 bytes");
    const auto rows = share(row);
    const unsigned lane = current % warp_size;
    for (unsigned block = 0; block < 4; block++) {
        uint16_t pair[2];
        for (unsigned i = 0; i < 2; i++) {
            const unsigned row_of = is_transposed ? lane % 4 * 2 + i : lane / 4;
            const unsigned column = is_transposed ? lane / 4 : lane % 4 * 2 + i;
            std::memcpy(&pair[i], (const uint16_t *)rows[block * 8 + row_of] + column, sizeof(pair[i]));
        }
        to[block] = pair[0] | (uint32_t)pair[1] << 16;
    }
    wait(state::at_warp); /* all have read before any goes on to write */
}

struct copy {
    void *to;
    const void *from; /* NULL: zeros */
};

inline void do_copy(const copy &one)
{
    if (one.from)
        std::memcpy(one.to, one.from, 16);
    else
        std::memset(one.to, 0, 16);
}

/* Of each thread of the block: its groups that have not arrived, the last one still open. */
inline std::vector<std::deque<std::vector<copy>>> copies;

inline std::deque<std::vector<copy>> &own_copies()
{
    if (copies.size() <= current)
        copies.resize(current + 1);
    if (copies[current].empty())
        copies[current].emplace_back();
    return copies[current];
}

inline void start_copy(const copy &one)
{
    static std::mt19937 random(5);
    if (random() % 2)
        do_copy(one);
    else
        own_copies().back().push_back(one);
}

inline void wait_copies(size_t count)
{
    auto &groups = own_copies();
    for (; groups.size() > count + 1; groups.pop_front())
        std::for_each(groups.front().begin(), groups.front().end(), do_copy);
}

} // namespace emulation

inline void multiply_add(float *c, const uint32_t *a, uint32_t b0, uint32_t b1, __half)
{
    emulation::multiply_add_on<__half>(c, a, b0, b1);
}

inline void multiply_add(float *c, const uint32_t *a, uint32_t b0, uint32_t b1, __nv_bfloat16)
{
    emulation::multiply_add_on<__nv_bfloat16>(c, a, b0, b1);
}

inline void load_blocks(uint32_t *to, const void *row)
{
    emulation::load_blocks_on(to, row, false);
}

inline void load_blocks_transposed(uint32_t *to, const void *row)
{
    emulation::load_blocks_on(to, row, true);
}

inline void copy_start(void *to, const void *from, bool is_there)
{
    if ((uintptr_t)to % 16 || (is_there && (uintptr_t)from % 16))
        emulation::fail("a copy to shared memory is not aligned to 16 bytes");
    emulation::start_copy({to, is_there ? from : nullptr});
}

inline void copy_group()
{
    emulation::own_copies().emplace_back();
}

template <int COUNT> void copy_wait()
{
    emulation::wait_copies(COUNT);
}

inline float exp2_near(float x)
{
    return x < -126.0F ? 0.0F : exp2f(x);
}

#endif
