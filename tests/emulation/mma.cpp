/* The matrix units' products of mma.h. Compiled for speed and without sanitizers, as fibers.cpp. */
#include "tests/emulation/mma.h"

using namespace emulation;

namespace
{

struct numbers {
    float a[8], b[4];
};

template <typename T> float half_of(uint32_t word, unsigned part)
{
    const uint16_t bits = (uint16_t)(word >> (16 * part));
    T value;
    std::memcpy(&value, &bits, sizeof(bits));
    return (float)value;
}

/* Lane 4 i + j has of the left matrix the columns 2 j, 2 j + 1, 2 j + 8 and 2 j + 9 of the rows i and i + 8,
 * of the right one these rows of column i, and of the product the columns 2 j and 2 j + 1 of the rows i and i
 * + 8. */
template <typename T> part multiply_add_of(part c, const fragments &own)
{
    numbers converted;
    for (unsigned i = 0; i < 8; i++)
        converted.a[i] = half_of<T>(own.a[i / 2], i % 2);
    for (unsigned i = 0; i < 4; i++)
        converted.b[i] = half_of<T>(own.b[i / 2], i % 2);
    static_assert(sizeof(converted) <= slot_bytes);
    const unsigned lane = current % warp_size;
    const auto all = share(converted);
    const unsigned row = lane / 4 * 4, column = lane % 4 * 2 * 4; /* the first of the lanes that have them */
    for (unsigned k = 0; k < 16; k++) {
        const unsigned other = k % 8 / 2;
        const numbers left = all[row + other], right[2] = {all[column + other], all[column + 4 + other]};
        for (unsigned i = 0; i < 4; i++)
            c.c[i] += left.a[(i / 2 + k / 8 * 2) * 2 + k % 2] * right[i % 2].b[k / 8 * 2 + k % 2];
    }
    return c;
}

} // namespace

part emulation::multiply_add_part(part c, const fragments &own, __half)
{
    return multiply_add_of<__half>(c, own);
}

part emulation::multiply_add_part(part c, const fragments &own, __nv_bfloat16)
{
    return multiply_add_of<__nv_bfloat16>(c, own);
}
