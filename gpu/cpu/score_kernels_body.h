/*
 * The body of score_kernels_*.c, which define TARGET (the functions' target attribute, or nothing),
 * VECTOR_BYTES (of the processor's vectors) and KERNELS (the name of the table) and then include this file,
 * once each.
 */
#include "gpu/cpu/score_math_body.h"

#include <math.h>

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
        store(x + i, activation_of(activation, load(x + i) + (bias ? load(bias + i) : all(0.0F))));
    if (left) {
        vec y = load_part(x + end, left, 0.0F);
        if (bias)
            y += load_part(bias + end, left, 0.0F);
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
    case SCORE_ACTIVATION_RELU_SQUARED:
        activate_as(SCORE_ACTIVATION_RELU_SQUARED, x, bias, count);
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
    case SCORE_ACTIVATION_RELU_SQUARED:
        gate_as(SCORE_ACTIVATION_RELU_SQUARED, x, up, count);
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
