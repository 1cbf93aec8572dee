/*
 * Sums with about twice the digits of a double (double-double; Dekker 1971, Knuth TAOCP 2 4.2.2), so that
 * terms that nearly cancel lose nothing.
 */
#ifndef BIFURCATED_ANALYSIS_SUM_H
#define BIFURCATED_ANALYSIS_SUM_H

#include <math.h>
#include <stdint.h>

struct sum {
    double high, low;
};

static inline void sum_add(struct sum *sum, double value)
{
    double total = sum->high + value;
    double virtual_value = total - sum->high;
    sum->low += (sum->high - (total - virtual_value)) + (value - virtual_value);
    sum->high = total;
}

/* Adds the product exactly: the rounding error of a product is itself a double. */
static inline void sum_add_product(struct sum *sum, double a, double b)
{
    double product = a * b;
    sum_add(sum, product);
    sum->low += fma(a, b, -product);
}

/* Adds count * value; counts beyond 2^53 are no doubles, so the halves go one by one. */
static inline void sum_add_counted(struct sum *sum, double value, uint64_t count)
{
    sum_add_product(sum, value, (double)(count >> 32) * 0x1p32);
    sum_add_product(sum, value, (double)(count & 0xffffffffU));
}

static inline double sum_value(const struct sum *sum)
{
    return sum->high + sum->low;
}

#endif
