/*
 * Arithmetic on sizes that come from outside. Each returns nonzero on overflow and then leaves *out alone.
 */
#ifndef BIFURCATED_BASE_CHECKED_H
#define BIFURCATED_BASE_CHECKED_H

#include <stddef.h>
#include <stdint.h>

static inline int checked_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return 1;
    *out = sum;
    return 0;
}

static inline int checked_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return 1;
    *out = product;
    return 0;
}

static inline int checked_mul_size(size_t a, size_t b, size_t *out)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return 1;
    *out = product;
    return 0;
}

/* Whether [offset, offset + size) lies in [0, end). */
static inline int checked_range_within(uint64_t offset, uint64_t size, uint64_t end)
{
    return offset <= end && size <= end - offset;
}

#endif
