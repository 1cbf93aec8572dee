/*
 * The arithmetic of score_kernels_body.h: vectors as wide as VECTOR_BYTES, and functions of them.
 *
 * Vectors are the compiler's own, so the code reads as arithmetic; they are as wide as the processor's, since
 * the compiler compares wider ones element by element. Sums run over 16 lanes in any case. `x != x` is the
 * test for NaN.
 */
#include "gpu/cpu/score_kernels.h"
#include "gpu/half.h"

#include <stdint.h>
#include <string.h>

/* All functions with vectors as arguments are inlined: how they would be passed does not matter. */
#pragma GCC diagnostic ignored "-Wpsabi"

#if defined(__clang__)
#define UNROLL /* it does so by itself */
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

#define INLINE static inline __attribute__((always_inline)) TARGET
#define LANES 16U
#define WIDTH (VECTOR_BYTES / 4U)
#define PARTS (LANES / WIDTH)

typedef float vec __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t veci __attribute__((vector_size(VECTOR_BYTES)));
typedef uint16_t vech __attribute__((vector_size(VECTOR_BYTES / 2)));

/* A sum's lanes. */
struct lanes {
    vec part[PARTS];
};

INLINE vec all(float value)
{
    return value - (vec){0}; /* all signs stay */
}

INLINE vec load(const float *at)
{
    vec x;
    memcpy(&x, at, sizeof(x));
    return x;
}

INLINE void store(float *at, vec x)
{
    memcpy(at, &x, sizeof(x));
}

/* The first `count` elements, if there are as many; the others are `fill`. */
INLINE vec load_part(const float *at, size_t count, float fill)
{
    vec x = all(fill);
    if (count >= WIDTH)
        return load(at);
    memcpy(&x, at, count * sizeof(float));
    return x;
}

INLINE void store_part(float *at, vec x, size_t count)
{
    memcpy(at, &x, (count < WIDTH ? count : WIDTH) * sizeof(float));
}

/* Loops take whole vectors as long as there are any; the rest, if any, goes through these. */
INLINE size_t whole(size_t count)
{
    return count - count % WIDTH;
}

INLINE veci bits_of(vec x)
{
    return (veci)x;
}

/* mask ? a : b, lane by lane; the mask is all ones or all zeros, as comparisons give it. */
INLINE vec choose(veci mask, vec a, vec b)
{
    return (vec)((mask & bits_of(a)) | (~mask & bits_of(b)));
}

INLINE float lanes_sum(const struct lanes *sums)
{
    float lane[LANES];
    memcpy(lane, sums, sizeof(lane));
    for (size_t width = LANES / 2; width > 0; width /= 2)
        for (size_t i = 0; i < width; i++)
            lane[i] += lane[i + width];
    return lane[0];
}

/*
 * For -87 <= x <= 0, x = n ln 2 + r, |r| <= ln(2) / 2: exp(r) - 1, by a polynomial fitted to
 * (exp(r) - 1 - r) / r^2 with weight r^2 (relative error 2e-9), and the scale 2^n. NaN stays.
 */
INLINE vec exp_reduced(vec bounded, vec *scale)
{
    const vec to_integer = all(0x1.8p23F); /* adding it leaves round(x) in the low bits */
    vec shifted = bounded * all(0x1.715476p0F) + to_integer;
    vec n = shifted - to_integer;
    vec r = bounded - n * all(0x1.62e4p-1F) - n * all(0x1.7f7d1cp-20F); /* ln 2 in two parts */
    vec p = all(0.00019910013F);
    p = p * r + all(0.0013946756F);
    p = p * r + all(0.00833328F);
    p = p * r + all(0.041666258F);
    p = p * r + all(0.16666667F);
    p = p * r + all(0.5F);
    *scale = (vec)((bits_of(shifted) << 23) + 0x3f800000);
    return p * (r * r) + r;
}

/* exp(x) for x <= 0, relative error below 2e-7; 0 below -87; NaN stays. */
INLINE vec exp_negative(vec x)
{
    vec scale;
    veci is_small = x < all(-87.0F);
    vec p = exp_reduced(choose(is_small, all(-87.0F), x), &scale) + all(1.0F);
    return choose(is_small, all(0.0F), p * scale);
}

/* exp(x) - 1 for x <= 0, relative error below 3e-7. */
INLINE vec expm1_negative(vec x)
{
    vec scale;
    vec p = exp_reduced(choose(x < all(-87.0F), all(-87.0F), x), &scale);
    return p * scale + (scale - all(1.0F));
}

/*
 * x Phi(x). With u = |x| and t = 1 / (1 + u / 4), the tail 1 - Phi(u) = exp(-u^2 / 2) t P(t), where P is
 * fitted to erfcx(u / sqrt 2) / (2 t) on 0 <= u <= 14 (relative error 9e-8). No difference of near numbers is
 * formed: the left side keeps its relative precision.
 */
INLINE vec gelu(vec x)
{
    vec u = (vec)(bits_of(x) & 0x7fffffff);
    vec t = all(1.0F) / (all(1.0F) + all(0.25F) * u);
    vec p = all(0.02572823315858841F);
    p = p * t + all(-0.1528315395116806F);
    p = p * t + all(0.29616591334342957F);
    p = p * t + all(-0.2058315873146057F);
    p = p * t + all(0.20179031789302826F);
    p = p * t + all(0.032914817333221436F);
    p = p * t + all(0.10374990105628967F);
    p = p * t + all(0.09851641207933426F);
    p = p * t + all(0.09979750216007233F);
    vec tail = u * (t * p * exp_negative(all(-0.5F) * u * u));
    return choose(x > all(0.0F), x, all(0.0F) * u) - tail;
}

/* x / (1 + exp(-y)). */
INLINE vec times_sigmoid(vec x, vec y)
{
    vec e = exp_negative((vec)(bits_of(y) | bits_of(all(-0.0F)))); /* exp(-|y|) */
    return x * choose(y < all(0.0F), e, all(1.0F)) / (all(1.0F) + e);
}

/* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))); 1 + tanh(y) = 2 / (1 + exp(-2 y)). */
INLINE vec gelu_tanh(vec x)
{
    return times_sigmoid(x, all(1.5957691216F) * (x + all(0.044715F) * (x * x * x)));
}

INLINE vec activation_of(enum score_activation activation, vec x)
{
    switch (activation) {
    case SCORE_ACTIVATION_GELU:
        return gelu(x);
    case SCORE_ACTIVATION_GELU_TANH:
        return gelu_tanh(x);
    case SCORE_ACTIVATION_SILU:
        return times_sigmoid(x, x);
    case SCORE_ACTIVATION_RELU_SQUARED:
        return choose(x < all(0.0F), all(0.0F), x * x);
    case SCORE_ACTIVATION_RELU:
    case SCORE_ACTIVATION_XIELU:
    case SCORE_ACTIVATION_COUNT:
        break;
    }
    return choose(x < all(0.0F), all(0.0F), x);
}

INLINE vec xielu_of(const struct score_xielu *numbers, vec x)
{
    const vec epsilon = all(numbers->epsilon), below = choose(x < epsilon, x, epsilon);
    const veci is_positive = x > all(0.0F);
    const vec left = expm1_negative(choose(is_positive, all(0.0F), below)) - x;
    return choose(is_positive, all(numbers->positive) * x * x, left * all(numbers->negative)) +
           all(numbers->beta) * x;
}
