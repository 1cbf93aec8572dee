/*
 * The body of score_kernels_*.c, which define TARGET (the functions' target attribute, or nothing) and
 * KERNELS (the name of the table) and then include this file, once each.
 *
 * Vectors are the compiler's own (16 floats), so the code reads as arithmetic; wider ones than the processor
 * has are split by the compiler. `x != x` is the test for NaN.
 */
#include "gpu/cpu/score_kernels.h"
#include "gpu/half.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* All functions with vectors as arguments are inlined: how they would be passed does not matter. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline)) TARGET
#define LANES 16U

typedef float v16 __attribute__((vector_size(64)));
typedef int32_t v16i __attribute__((vector_size(64)));
typedef uint16_t v16h __attribute__((vector_size(32)));

INLINE v16 all(float value)
{
    return (v16){value, value, value, value, value, value, value, value,
                 value, value, value, value, value, value, value, value};
}

INLINE v16 load(const float *at)
{
    v16 x;
    memcpy(&x, at, sizeof(x));
    return x;
}

INLINE void store(float *at, v16 x)
{
    memcpy(at, &x, sizeof(x));
}

/* The first `count` (1 ... 16) lanes; the others are `fill`. */
INLINE v16 load_part(const float *at, size_t count, float fill)
{
    v16 x = all(fill);
    if (count >= LANES)
        return load(at);
    memcpy(&x, at, count * sizeof(float));
    return x;
}

INLINE void store_part(float *at, v16 x, size_t count)
{
    memcpy(at, &x, (count < LANES ? count : LANES) * sizeof(float));
}

INLINE v16i bits_of(v16 x)
{
    return (v16i)x;
}

/* mask ? a : b, lane by lane; the mask is all ones or all zeros, as comparisons give it. */
INLINE v16 choose(v16i mask, v16 a, v16 b)
{
    return (v16)((mask & bits_of(a)) | (~mask & bits_of(b)));
}

INLINE float lanes_sum(v16 x)
{
    float lane[LANES];
    memcpy(lane, &x, sizeof(lane));
    for (size_t width = LANES / 2; width > 0; width /= 2)
        for (size_t i = 0; i < width; i++)
            lane[i] += lane[i + width];
    return lane[0];
}

INLINE float lanes_largest(v16 x)
{
    float lane[LANES];
    memcpy(lane, &x, sizeof(lane));
    float largest = lane[0];
    for (size_t i = 1; i < LANES; i++)
        largest = lane[i] > largest ? lane[i] : largest;
    return largest;
}

/*
 * For -87 <= x <= 0, x = n ln 2 + r, |r| <= ln(2) / 2: exp(r) - 1, by a polynomial fitted to
 * (exp(r) - 1 - r) / r^2 with weight r^2 (relative error 2e-9), and the scale 2^n. NaN stays.
 */
INLINE v16 exp_reduced(v16 bounded, v16 *scale)
{
    const v16 to_integer = all(0x1.8p23F); /* adding it leaves round(x) in the low bits */
    v16 shifted = bounded * all(0x1.715476p0F) + to_integer;
    v16 n = shifted - to_integer;
    v16 r = bounded - n * all(0x1.62e4p-1F) - n * all(0x1.7f7d1cp-20F); /* ln 2 in two parts */
    v16 p = all(0.00019910013F);
    p = p * r + all(0.0013946756F);
    p = p * r + all(0.00833328F);
    p = p * r + all(0.041666258F);
    p = p * r + all(0.16666667F);
    p = p * r + all(0.5F);
    *scale = (v16)((bits_of(shifted) << 23) + 0x3f800000);
    return p * (r * r) + r;
}

/* exp(x) for x <= 0, relative error below 2e-7; 0 below -87; NaN stays. */
INLINE v16 exp_negative(v16 x)
{
    v16 scale;
    v16i is_small = x < all(-87.0F);
    v16 p = exp_reduced(choose(is_small, all(-87.0F), x), &scale) + all(1.0F);
    return choose(is_small, all(0.0F), p * scale);
}

/* exp(x) - 1 for x <= 0, relative error below 3e-7. */
INLINE v16 expm1_negative(v16 x)
{
    v16 scale;
    v16 p = exp_reduced(choose(x < all(-87.0F), all(-87.0F), x), &scale);
    return p * scale + (scale - all(1.0F));
}

/*
 * x Phi(x). With u = |x| and t = 1 / (1 + u / 4), the tail 1 - Phi(u) = exp(-u^2 / 2) t P(t), where P is
 * fitted to erfcx(u / sqrt 2) / (2 t) on 0 <= u <= 14 (relative error 9e-8). No difference of near numbers is
 * formed: the left side keeps its relative precision.
 */
INLINE v16 gelu(v16 x)
{
    v16 u = (v16)(bits_of(x) & 0x7fffffff);
    v16 t = all(1.0F) / (all(1.0F) + all(0.25F) * u);
    v16 p = all(0.02572823315858841F);
    p = p * t + all(-0.1528315395116806F);
    p = p * t + all(0.29616591334342957F);
    p = p * t + all(-0.2058315873146057F);
    p = p * t + all(0.20179031789302826F);
    p = p * t + all(0.032914817333221436F);
    p = p * t + all(0.10374990105628967F);
    p = p * t + all(0.09851641207933426F);
    p = p * t + all(0.09979750216007233F);
    v16 tail = u * (t * p * exp_negative(all(-0.5F) * u * u));
    return choose(x > all(0.0F), x, all(0.0F) * u) - tail;
}

/* x / (1 + exp(-y)). */
INLINE v16 times_sigmoid(v16 x, v16 y)
{
    v16 e = exp_negative((v16)(bits_of(y) | bits_of(all(-0.0F)))); /* exp(-|y|) */
    return x * choose(y < all(0.0F), e, all(1.0F)) / (all(1.0F) + e);
}

/* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))); 1 + tanh(y) = 2 / (1 + exp(-2 y)). */
INLINE v16 gelu_tanh(v16 x)
{
    return times_sigmoid(x, all(1.5957691216F) * (x + all(0.044715F) * (x * x * x)));
}

INLINE v16 activation_of(enum score_activation activation, v16 x)
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

INLINE v16 xielu_of(const struct score_xielu *numbers, v16 x)
{
    const v16 epsilon = all(numbers->epsilon), below = choose(x < epsilon, x, epsilon);
    const v16i is_positive = x > all(0.0F);
    const v16 left = expm1_negative(choose(is_positive, all(0.0F), below)) - x;
    return choose(is_positive, all(numbers->positive) * x * x, left * all(numbers->negative)) +
           all(numbers->beta) * x;
}

/* Loops take whole vectors as long as there are any; the rest, if any, goes through these. */
INLINE size_t whole(size_t count)
{
    return count - count % LANES;
}

TARGET static void layer_norm(const float *x, size_t count, const float *weight, const float *bias,
                              double epsilon, float *out)
{
    const size_t end = whole(count), left = count - end;
    v16 sums = all(0.0F);
    for (size_t i = 0; i < end; i += LANES)
        sums += load(x + i);
    if (left)
        sums += load_part(x + end, left, 0.0F);
    const float mean = lanes_sum(sums) / (float)count;
    sums = all(0.0F);
    for (size_t i = 0; i < end; i += LANES)
        sums += (load(x + i) - all(mean)) * (load(x + i) - all(mean));
    if (left) {
        v16 difference = load_part(x + end, left, mean) - all(mean);
        sums += difference * difference;
    }
    const v16 inverse = all((float)(1.0 / sqrt((double)lanes_sum(sums) / (double)count + epsilon)));
    for (size_t i = 0; i < end; i += LANES)
        store(out + i, (load(x + i) - all(mean)) * inverse * load(weight + i) + load(bias + i));
    if (left)
        store_part(out + end,
                   (load_part(x + end, left, 0.0F) - all(mean)) * inverse *
                           load_part(weight + end, left, 0.0F) +
                       load_part(bias + end, left, 0.0F),
                   left);
}

TARGET static void rms_norm(const float *x, size_t count, const float *weight, double epsilon, float *out)
{
    const size_t end = whole(count), left = count - end;
    v16 sums = all(0.0F);
    for (size_t i = 0; i < end; i += LANES)
        sums += load(x + i) * load(x + i);
    if (left)
        sums += load_part(x + end, left, 0.0F) * load_part(x + end, left, 0.0F);
    const v16 inverse = all((float)(1.0 / sqrt((double)lanes_sum(sums) / (double)count + epsilon)));
    for (size_t i = 0; i < end; i += LANES)
        store(out + i, load(x + i) * inverse * load(weight + i));
    if (left)
        store_part(out + end, load_part(x + end, left, 0.0F) * inverse * load_part(weight + end, left, 0.0F),
                   left);
}

TARGET static void add(float *x, const float *bias, size_t count)
{
    const size_t end = whole(count), left = count - end;
    for (size_t i = 0; i < end; i += LANES)
        store(x + i, load(x + i) + load(bias + i));
    if (left)
        store_part(x + end, load_part(x + end, left, 0.0F) + load_part(bias + end, left, 0.0F), left);
}

INLINE void activate_as(enum score_activation activation, float *x, const float *bias, size_t count)
{
    const size_t end = whole(count), left = count - end;
    for (size_t i = 0; i < end; i += LANES)
        store(x + i, activation_of(activation, load(x + i) + load(bias + i)));
    if (left) {
        v16 y = load_part(x + end, left, 0.0F) + load_part(bias + end, left, 0.0F);
        store_part(x + end, activation_of(activation, y), left);
    }
}

TARGET static void xielu(const struct score_xielu *numbers, float *x, size_t count)
{
    const size_t end = whole(count), left = count - end;
    for (size_t i = 0; i < end; i += LANES)
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
    for (size_t i = 0; i < end; i += LANES)
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
    v16 largest = all(-INFINITY);
    for (size_t i = 0; i < end; i += LANES)
        largest = choose(load(x + i) > largest, load(x + i), largest);
    if (end < count) {
        v16 values = load_part(x + end, count - end, -INFINITY);
        largest = choose(values > largest, values, largest);
    }
    return lanes_largest(largest);
}

TARGET static void softmax(float *x, size_t count, float scale)
{
    const size_t end = whole(count), left = count - end;
    const v16 largest = all(largest_of(x, count));
    v16 sums = all(0.0F);
    for (size_t i = 0; i < end; i += LANES) {
        v16 e = exp_negative((load(x + i) - largest) * all(scale));
        sums += e;
        store(x + i, e);
    }
    if (left) {
        v16 e = exp_negative((load_part(x + end, left, -INFINITY) - largest) * all(scale));
        sums += e;
        store_part(x + end, e, left);
    }
    const v16 inverse = all(1.0F / lanes_sum(sums));
    for (size_t i = 0; i < end; i += LANES)
        store(x + i, load(x + i) * inverse);
    if (left)
        store_part(x + end, load_part(x + end, left, 0.0F) * inverse, left);
}

/* Terms that a lane adds up in float32 before they go to float64. */
#define RUN 8U

TARGET static void log_sum(const float *x, size_t count, struct score_log_sum *log_sum)
{
    double lanes[LANES] = {0};
    float largest = largest_of(x, count), run[LANES];
    if (largest > log_sum->largest) {
        log_sum->sum *= exp((double)log_sum->largest - (double)largest);
        log_sum->largest = largest;
    }
    const size_t end = whole(count);
    const v16 from = all(log_sum->largest);
    for (size_t i = 0; i < end;) {
        v16 sums = all(0.0F);
        for (size_t j = 0; j < RUN && i < end; j++, i += LANES)
            sums += exp_negative(load(x + i) - from);
        store(run, sums);
        for (size_t j = 0; j < LANES; j++)
            lanes[j] += (double)run[j];
    }
    if (end < count) {
        store(run, exp_negative(load_part(x + end, count - end, -INFINITY) - from));
        for (size_t j = 0; j < LANES; j++)
            lanes[j] += (double)run[j];
    }
    for (size_t i = 0; i < LANES; i++)
        log_sum->sum += lanes[i];
}

INLINE v16 from_f16(v16h half)
{
    v16i bits = __builtin_convertvector(half, v16i);
    v16i magnitude = bits & 0x7fff;
    /* A vector's lanes wrap; cppcheck takes it for an int. */
    v16i sign = (bits & 0x8000) << 16; // cppcheck-suppress integerOverflow
    /* 2^112 moves the exponent to where float32 has it, subnormals included; Inf and NaN need more. */
    v16 finite = (v16)(magnitude << 13) * all(0x1p112F);
    v16i special = (magnitude << 13) | 0x7f800000;
    v16i is_special = magnitude > 0x7bff;
    return (v16)(sign | (is_special & special) | (~is_special & bits_of(finite)));
}

INLINE v16 from_bf16(v16h half)
{
    return (v16)(__builtin_convertvector(half, v16i) << 16);
}

TARGET static void convert(enum tensor_dtype dtype, const void *data, size_t count, float *out)
{
    const unsigned char *at = data;
    if (dtype == TENSOR_DTYPE_F32) {
        memcpy(out, data, count * sizeof(float));
        return;
    }
    const size_t end = whole(count), left = count - end;
    v16h half = {0};
    for (size_t i = 0; i < end; i += LANES) {
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
