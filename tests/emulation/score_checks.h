/* What the parts of emulation_score share. To be included behind the kernels. */
#ifndef BIFURCATED_TESTS_EMULATION_SCORE_CHECKS_H
#define BIFURCATED_TESTS_EMULATION_SCORE_CHECKS_H

#include "tests/emulation/checks.h"
#include "tests/emulation/test_score.h"

#include <algorithm>
#include <random>
#include <vector>

constexpr unsigned seeds = 2;

/* Random numbers from -1 to 1. */
inline float draw()
{
    static std::mt19937 random(7);
    return std::uniform_real_distribution<float>(-1, 1)(random);
}

template <typename T> static std::vector<T> numbers(size_t count)
{
    std::vector<T> made(count);
    for (T &one : made)
        one = from_float<T>(draw());
    return made;
}

/* Runs `call(out)` in several orders; the results must be equal, the last one is returned. */
template <typename T, typename F> static std::vector<T> in_any_order(size_t count, const F &call)
{
    std::vector<T> first, out;
    for (unsigned seed = 1; seed <= seeds; seed++) {
        out.assign(count, T());
        call(out.data(), seed);
        if (seed == 1)
            first = out;
        CHECK(std::memcmp(first.data(), out.data(), count * sizeof(T)) == 0);
    }
    return out;
}

template <typename T> static double tolerance()
{
    return std::is_same<T, float>::value ? 4e-6 : std::is_same<T, __half>::value ? 2e-3 : 8e-3;
}

/* Queries, keys and values of `rows` inputs: per head (GPT-NeoX) or in blocks, where so many heads may share
 * a key. */
struct shape {
    uint32_t head_count, head_size;
    bool is_per_head;
    uint32_t group = 1;
    std::vector<float> slopes = {}; /* of ALiBi, for each head */
    uint32_t window = 0;
};

inline score_heads heads_of(const shape &s)
{
    const uint32_t d = s.head_count * s.head_size, kv = d / s.group;
    return {s.head_count,
            s.head_size,
            s.is_per_head ? 3 * s.head_size : s.head_size,
            s.is_per_head ? s.head_size : d,
            s.is_per_head ? 2 * s.head_size : d + kv,
            d + 2 * kv};
}

#endif
