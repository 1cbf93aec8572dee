/*
 * The body of score_kernels_*.c, which define TARGET (the functions' target attribute, or nothing),
 * VECTOR_BYTES (of the processor's vectors) and KERNELS (the name of the table) and then include this file,
 * once each.
 *
 * Vectors are the compiler's own, so the code reads as arithmetic; they are as wide as the processor's, since
 * the compiler compares wider ones element by element. Sums run over 16 lanes in any case. `x != x` is the
 * test for NaN.
 */
#include "gpu/cpu/score_kernels.h"
#include "gpu/half.h"

#include <math.h>
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

/* sums += TERM of all elements, lane by lane; TERM is of x, a vector of which elements past the end are
 * `fill`. */
#define SUM(sums, from, count, fill, TERM)                                                                   \
    do {                                                                                                     \
        size_t at_ = 0;                                                                                      \
        for (; at_ + LANES <= (count); at_ += LANES) {                                                       \
            UNROLL                                                                                           \
            for (size_t p_ = 0; p_ < PARTS; p_++) {                                                          \
                const vec x = load((from) + at_ + p_ * WIDTH);                                               \
                (sums).part[p_] += (TERM);                                                                   \
            }                                                                                                \
        }                                                                                                    \
        UNROLL                                                                                               \
        for (size_t p_ = 0; p_ < PARTS; p_++, at_ += WIDTH) {                                                \
            if (at_ >= (count))                                                                              \
                break;                                                                                       \
            const vec x = load_part((from) + at_, (count)-at_, fill);                                        \
            (sums).part[p_] += (TERM);                                                                       \
        }                                                                                                    \
    } while (0)

TARGET static void layer_norm(const float *at, size_t count, const float *weight, const float *bias,
                              double epsilon, float *out)
{
    const size_t end = whole(count), left = count - end;
    struct lanes sums = {0}, squares = {0};
    SUM(sums, at, count, 0.0F, x);
    const float mean = lanes_sum(&sums) / (float)count;
    SUM(squares, at, count, mean, (x - all(mean)) * (x - all(mean)));
    const vec inverse = all((float)(1.0 / sqrt((double)lanes_sum(&squares) / (double)count + epsilon)));
    for (size_t i = 0; i < end; i += WIDTH)
        store(out + i, (load(at + i) - all(mean)) * inverse * load(weight + i) + load(bias + i));
    if (left)
        store_part(out + end,
                   (load_part(at + end, left, 0.0F) - all(mean)) * inverse *
                           load_part(weight + end, left, 0.0F) +
                       load_part(bias + end, left, 0.0F),
                   left);
}

TARGET static void rms_norm(const float *at, size_t count, const float *weight, double epsilon, float *out)
{
    const size_t end = whole(count), left = count - end;
    struct lanes sums = {0};
    SUM(sums, at, count, 0.0F, x * x);
    const vec inverse = all((float)(1.0 / sqrt((double)lanes_sum(&sums) / (double)count + epsilon)));
    for (size_t i = 0; i < end; i += WIDTH)
        store(out + i, load(at + i) * inverse * load(weight + i));
    if (left)
        store_part(out + end, load_part(at + end, left, 0.0F) * inverse * load_part(weight + end, left, 0.0F),
                   left);
}

TARGET static void add(float *x, const float *bias, size_t count)
{
    const size_t end = whole(count), left = count - end;
    for (size_t i = 0; i < end; i += WIDTH)
        store(x + i, load(x + i) + load(bias + i));
    if (left)
        store_part(x + end, load_part(x + end, left, 0.0F) + load_part(bias + end, left, 0.0F), left);
}

INLINE void activate_as(enum score_activation activation, float *x, const float *bias, size_t count)
{
    const size_t end = whole(count), left = count - end;
    for (size_t i = 0; i < end; i += WIDTH)
        store(x + i, activation_of(activation, load(x + i) + load(bias + i)));
    if (left) {
        vec y = load_part(x + end, left, 0.0F) + load_part(bias + end, left, 0.0F);
        store_part(x + end, activation_of(activation, y), left);
    }
}

TARGET static void xielu(const struct score_xielu *numbers, float *x, size_t count)
{
    const size_t end = whole(count), left = count - end;
    for (size_t i = 0; i < end; i += WIDTH)
        store(x + i, xielu_of(numbers, load(x + i)));
    if (left)
        store_part(x + end, xielu_of(numbers, load_part(x + end, left, 0.0F)), left);
}

TARGET static void activate(enum score_activation activation, float *x, const float *bias, size_t count)
{
    switch (activation) {
    case SCORE_ACTIVATION_GELU:
        activate_as(SCORE_ACTIVATION_GELU, x, bias, count);
        break;
    case SCORE_ACTIVATION_GELU_TANH:
        activate_as(SCORE_ACTIVATION_GELU_TANH, x, bias, count);
        break;
    case SCORE_ACTIVATION_SILU:
        activate_as(SCORE_ACTIVATION_SILU, x, bias, count);
        break;
    case SCORE_ACTIVATION_RELU:
    case SCORE_ACTIVATION_XIELU:
    case SCORE_ACTIVATION_COUNT:
        activate_as(SCORE_ACTIVATION_RELU, x, bias, count);
        break;
    }
}

INLINE void gate_as(enum score_activation activation, float *x, const float *up, size_t count)
{
    const size_t end = whole(count), left = count - end;
    for (size_t i = 0; i < end; i += WIDTH)
        store(x + i, activation_of(activation, load(x + i)) * load(up + i));
    if (left)
        store_part(x + end,
                   activation_of(activation, load_part(x + end, left, 0.0F)) *
                       load_part(up + end, left, 0.0F),
                   left);
}

TARGET static void gate(enum score_activation activation, float *x, const float *up, size_t count)
{
    switch (activation) {
    case SCORE_ACTIVATION_GELU:
        gate_as(SCORE_ACTIVATION_GELU, x, up, count);
        break;
    case SCORE_ACTIVATION_GELU_TANH:
        gate_as(SCORE_ACTIVATION_GELU_TANH, x, up, count);
        break;
    case SCORE_ACTIVATION_SILU:
        gate_as(SCORE_ACTIVATION_SILU, x, up, count);
        break;
    case SCORE_ACTIVATION_RELU:
    case SCORE_ACTIVATION_XIELU:
    case SCORE_ACTIVATION_COUNT:
        gate_as(SCORE_ACTIVATION_RELU, x, up, count);
        break;
    }
}

/* NaNs are passed over; -Inf if there is nothing else. */
INLINE float largest_of(const float *x, size_t count)
{
    const size_t end = whole(count);
    vec largest = all(-INFINITY);
    for (size_t i = 0; i < end; i += WIDTH)
        largest = choose(load(x + i) > largest, load(x + i), largest);
    if (end < count) {
        vec values = load_part(x + end, count - end, -INFINITY);
        largest = choose(values > largest, values, largest);
    }
    float one = largest[0];
    for (size_t i = 1; i < WIDTH; i++)
        one = largest[i] > one ? largest[i] : one;
    return one;
}

TARGET static void softmax(float *x, size_t count, float scale)
{
    const size_t end = whole(count), left = count - end;
    const vec largest = all(largest_of(x, count));
    struct lanes sums = {0};
    size_t at = 0;
    for (; at + LANES <= count; at += LANES) {
        UNROLL
        for (size_t p = 0; p < PARTS; p++) {
            const vec e = exp_negative((load(x + at + p * WIDTH) - largest) * all(scale));
            sums.part[p] += e;
            store(x + at + p * WIDTH, e);
        }
    }
    UNROLL
    for (size_t p = 0; p < PARTS; p++, at += WIDTH) {
        if (at >= count)
            break;
        const vec e = exp_negative((load_part(x + at, count - at, -INFINITY) - largest) * all(scale));
        sums.part[p] += e;
        store_part(x + at, e, count - at);
    }
    const vec inverse = all(1.0F / lanes_sum(&sums));
    for (size_t i = 0; i < end; i += WIDTH)
        store(x + i, load(x + i) * inverse);
    if (left)
        store_part(x + end, load_part(x + end, left, 0.0F) * inverse, left);
}

/* Terms that a lane adds up in float32 before they go to float64. */
#define RUN 8U

TARGET static void log_sum(const float *at, size_t count, struct score_log_sum *log_sum)
{
    double total[LANES] = {0};
    float largest = largest_of(at, count), lane[LANES];
    if (largest > log_sum->largest) {
        log_sum->sum *= exp((double)log_sum->largest - (double)largest);
        log_sum->largest = largest;
    }
    const size_t end = count - count % LANES;
    const vec from = all(log_sum->largest);
    for (size_t begin = 0, next; begin < count; begin = next) {
        const size_t most = begin < end ? end - begin : count - begin;
        next = begin + (most < RUN * LANES ? most : RUN * LANES);
        struct lanes sums = {0};
        SUM(sums, at + begin, next - begin, -INFINITY, exp_negative(x - from));
        memcpy(lane, &sums, sizeof(lane));
        for (size_t i = 0; i < LANES; i++)
            total[i] += (double)lane[i];
    }
    for (size_t i = 0; i < LANES; i++)
        log_sum->sum += total[i];
}

INLINE vec from_f16(vech half)
{
    veci bits = __builtin_convertvector(half, veci);
    veci magnitude = bits & 0x7fff;
    /* A vector's lanes wrap; cppcheck takes it for an int. */
    veci sign = (bits & 0x8000) << 16; // cppcheck-suppress integerOverflow
    /* 2^112 moves the exponent to where float32 has it, subnormals included; Inf and NaN need more. */
    vec finite = (vec)(magnitude << 13) * all(0x1p112F);
    veci special = (magnitude << 13) | 0x7f800000;
    veci is_special = magnitude > 0x7bff;
    return (vec)(sign | (is_special & special) | (~is_special & bits_of(finite)));
}

INLINE vec from_bf16(vech half)
{
    return (vec)(__builtin_convertvector(half, veci) << 16);
}

TARGET static void convert(enum tensor_dtype dtype, const void *data, size_t count, float *out)
{
    const unsigned char *at = data;
    if (dtype == TENSOR_DTYPE_F32) {
        memcpy(out, data, count * sizeof(float));
        return;
    }
    const size_t end = whole(count), left = count - end;
    vech half = {0};
    for (size_t i = 0; i < end; i += WIDTH) {
        memcpy(&half, at + 2 * i, sizeof(half));
        store(out + i, dtype == TENSOR_DTYPE_F16 ? from_f16(half) : from_bf16(half));
    }
    if (left) {
        memcpy(&half, at + 2 * end, 2 * left);
        store_part(out + end, dtype == TENSOR_DTYPE_F16 ? from_f16(half) : from_bf16(half), left);
    }
}

const struct score_kernels KERNELS = {
    .layer_norm = layer_norm,
    .rms_norm = rms_norm,
    .add = add,
    .activate = activate,
    .xielu = xielu,
    .gate = gate,
    .softmax = softmax,
    .log_sum = log_sum,
    .convert = convert,
};
