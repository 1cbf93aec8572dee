/*
 * float16 and bfloat16 in portable C, bit for bit what F16C does: round to nearest even, subnormals kept.
 */
#ifndef BIFURCATED_GPU_HALF_H
#define BIFURCATED_GPU_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline uint32_t half_bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static inline float half_from_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000U) << 16;
    uint32_t fraction = half & 0x3ffU;
    uint32_t exponent = half & 0x7c00U;
    if (exponent == 0) {
        float value = (float)fraction * 0x1p-24F;
        return half_float_of_bits(half_bits_of_float(value) | sign);
    }
    if (exponent == 0x7c00U)
        return half_float_of_bits(sign | 0x7f800000U | fraction << 13 | (fraction ? 0x400000U : 0));
    return half_float_of_bits(sign | ((exponent << 13) + 0x38000000U) | fraction << 13);
}

static inline float half_from_bf16(uint16_t half)
{
    return half_float_of_bits((uint32_t)half << 16);
}

/* float32 to float16 bits. */
static inline uint16_t half_to_f16(float value)
{
    uint32_t bits = half_bits_of_float(value);
    uint32_t sign = bits >> 16 & 0x8000U;
    uint32_t magnitude = bits & 0x7fffffffU;
    if (magnitude > 0x7f800000U) /* NaN: quiet, with what fits of its payload */
        return (uint16_t)(sign | 0x7e00U | (magnitude >> 13 & 0x3ffU));
    if (magnitude >= 0x477ff000U) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00U);
    if (magnitude < 0x38800000U) { /* below 2^-14: the sum with 1/2 rounds to a multiple of 2^-24 */
        uint32_t sum = half_bits_of_float(half_float_of_bits(magnitude) + 0.5F);
        return (uint16_t)(sign | (sum - 0x3f000000U));
    }
    uint32_t odd = magnitude >> 13 & 1U;
    return (uint16_t)(sign | (magnitude - 0x38000000U + 0xfffU + odd) >> 13);
}

/* float32 to bfloat16 bits. */
static inline uint16_t half_to_bf16(float value)
{
    uint32_t bits = half_bits_of_float(value);
    if ((bits & 0x7fffffffU) > 0x7f800000U) /* NaN: quiet */
        return (uint16_t)(bits >> 16 | 0x40U);
    return (uint16_t)((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

#endif
