/* The inner loops against float64, at all lengths; the instruction sets against each other, bit by bit. */
#include "gpu/cpu/score_kernels.h"
#include "gpu/half.h"
#include "tests/tools/random_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT 83 /* five whole vectors and a part */

static float random_float(uint64_t place, float scale)
{
    return ((float)(random_at(7, place) >> 40) / 8388608.0F - 1.0F) * scale;
}

static void fill(float *x, size_t count, uint64_t place, float scale)
{
    for (size_t i = 0; i < count; i++)
        x[i] = random_float(place + i, scale);
}

static double exact(enum score_activation activation, double x)
{
    switch (activation) {
    case SCORE_ACTIVATION_GELU:
        return 0.5 * x * erfc(-x / sqrt(2));
    case SCORE_ACTIVATION_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case SCORE_ACTIVATION_SILU:
        return x / (1 + exp(-x));
    case SCORE_ACTIVATION_RELU_SQUARED:
        return x > 0 ? x * x : 0;
    default:
        return x > 0 ? x : 0;
    }
}

static void activations(void **state)
{
    (void)state;
    const struct score_kernels *kernels = score_kernels_of(cpu_isa_best());
    const float zero = 0;
    for (int activation = 0; activation < SCORE_ACTIVATION_XIELU; activation++) {
        double worst = 0, relative = 0;
        for (int i = -120000; i <= 120000; i++) {
            float x = (float)i / 10000, y = x;
            kernels->activate((enum score_activation)activation, &y, &zero, 1);
            double want = exact((enum score_activation)activation, (double)x);
            double error = fabs((double)y - want);
            assert_true(isfinite(error)); /* fmax() passes over NaN */
            worst = fmax(worst, error / fmax(fmax(1, fabs((double)x)), fabs(want)));
            if (fabs(want) > 1e-30 && x > -5)
                relative = fmax(relative, error / fabs(want));
        }
        print_message("activation %d: error %.1e, relative right of -5 %.1e\n", activation, worst, relative);
        assert_true(worst < 2e-7);
        if (activation == SCORE_ACTIVATION_GELU)
            assert_true(relative < 3e-6);
        float x = NAN;
        kernels->activate((enum score_activation)activation, &x, &zero, 1);
        assert_true(isnan(x));
        x = 1e30F;
        kernels->activate((enum score_activation)activation, &x, &zero, 1);
        assert_true(activation == SCORE_ACTIVATION_RELU_SQUARED ? isinf(x) && x > 0 : x == 1e30F);
        x = -1e30F;
        kernels->activate((enum score_activation)activation, &x, &zero, 1);
        assert_true(x == 0);
        float with[COUNT], without[COUNT], zeros[COUNT] = {0};
        fill(with, COUNT, 300, 6), memcpy(without, with, sizeof with);
        kernels->activate((enum score_activation)activation, with, zeros, COUNT);
        kernels->activate((enum score_activation)activation, without, NULL, COUNT);
        assert_memory_equal(with, without, sizeof with);
    }
}

/* Near 0 also relative to the value: no difference of near numbers may be left of it. */
static void xielu(void **state)
{
    (void)state;
    const struct score_kernels *kernels = score_kernels_of(cpu_isa_best());
    static const struct score_xielu numbers[] = {
        {0.8F, 0.8F, 0.5F, -1e-6F}, {3.5F, 0.6F, 0.5F, -1e-6F}, {0.25F, 1.5F, 0, -0.25F}, {1, 2, 0.5F, 0.5F}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const struct score_xielu *one = &numbers[i];
        double worst = 0, relative = 0;
        for (int j = -1000000; j <= 120000; j++) {
            float x = (float)j / 10000, y = x;
            const double v = (double)x;
            kernels->xielu(one, &y, 1);
            double want = v > 0 ? (double)one->positive * v * v
                                : (expm1(fmin(v, (double)one->epsilon)) - v) * (double)one->negative;
            want += (double)one->beta * v;
            double error = fabs((double)y - want);
            assert_true(isfinite(error));
            worst = fmax(worst, error / fmax(1, fmax(fabs(v), fabs(want))));
            if (one->beta > 0 && v > -0.5 && fabs(v) > 1e-5)
                relative = fmax(relative, error / fabs(want));
        }
        print_message("xIELU %zu: error %.1e, relative %.1e\n", i, worst, relative);
        assert_true(worst < 3e-7 && relative < 2e-6);
        float x = NAN;
        kernels->xielu(one, &x, 1);
        assert_true(isnan(x));
    }
    const struct score_xielu spoilt = {0.8F, 1.3F, 0.5F, NAN};
    float x = -1;
    kernels->xielu(&spoilt, &x, 1);
    assert_true(isnan(x));
}

static void gates(void **state)
{
    (void)state;
    const struct score_kernels *kernels = score_kernels_of(cpu_isa_best());
    float x[COUNT], up[COUNT], y[COUNT];
    for (int activation = 0; activation < SCORE_ACTIVATION_XIELU; activation++)
        for (size_t count = 1; count <= COUNT; count++) {
            fill(x, count, 100, 6), fill(up, count, 200, 3);
            memcpy(y, x, sizeof y);
            kernels->gate((enum score_activation)activation, y, up, count);
            for (size_t i = 0; i < count; i++) {
                double want = exact((enum score_activation)activation, (double)x[i]) * (double)up[i];
                assert_true(fabs((double)y[i] - want) < 6e-6 * fmax(1, fabs(want) / 18)); /* 6 times 3 */
            }
            y[count - 1] = NAN;
            kernels->gate((enum score_activation)activation, y, up, count);
            assert_true(isnan(y[count - 1]));
        }
}

static void norms_and_softmax(void **state)
{
    (void)state;
    const struct score_kernels *kernels = score_kernels_of(cpu_isa_best());
    float x[COUNT], weight[COUNT], bias[COUNT], y[COUNT];
    for (size_t count = 1; count <= COUNT; count++) {
        double mean = 0, variance = 0, largest = (double)-INFINITY, sum = 0;
        fill(x, count, 1000, 5), fill(weight, count, 2000, 2), fill(bias, count, 3000, 1);
        for (size_t i = 0; i < count; i++)
            mean += (double)x[i] / (double)count;
        for (size_t i = 0; i < count; i++)
            variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)count;
        kernels->layer_norm(x, count, weight, bias, 1e-5, y);
        for (size_t i = 0; i < count; i++) {
            double want = ((double)x[i] - mean) / sqrt(variance + 1e-5) * (double)weight[i] + (double)bias[i];
            assert_true(fabs((double)y[i] - want) < 2e-6 * fmax(1, fabs(want)));
        }
        double squares = 0;
        for (size_t i = 0; i < count; i++)
            squares += (double)x[i] * (double)x[i] / (double)count;
        kernels->rms_norm(x, count, weight, 1e-5, y);
        for (size_t i = 0; i < count; i++) {
            double want = (double)x[i] / sqrt(squares + 1e-5) * (double)weight[i];
            assert_true(fabs((double)y[i] - want) < 1e-6 * fmax(1, fabs(want)));
        }
        for (size_t i = 0; i < count; i++)
            largest = fmax(largest, (double)x[i]);
        for (size_t i = 0; i < count; i++)
            sum += exp(((double)x[i] - largest) * 0.25);
        memcpy(y, x, sizeof y);
        kernels->softmax(y, count, 0.25F);
        for (size_t i = 0; i < count; i++)
            assert_true(fabs((double)y[i] - exp(((double)x[i] - largest) * 0.25) / sum) < 3e-7);
        struct score_log_sum log_sum = {-INFINITY, 0};
        kernels->log_sum(x, count / 2, &log_sum);
        kernels->log_sum(x + count / 2, count - count / 2, &log_sum);
        sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += exp((double)x[i]);
        assert_true(fabs((double)log_sum.largest + log(log_sum.sum) - log(sum)) < 3e-7);
    }
}

static void not_finite(void **state)
{
    (void)state;
    const struct score_kernels *kernels = score_kernels_of(cpu_isa_best());
    float x[COUNT], ones[COUNT], zeros[COUNT] = {0}, y[COUNT];
    for (size_t at = 0; at < COUNT; at += 41) {
        fill(x, COUNT, 1, 1), fill(ones, COUNT, 2, 1);
        x[at] = NAN;
        struct score_log_sum log_sum = {-INFINITY, 0};
        kernels->log_sum(x, COUNT, &log_sum);
        assert_true(isnan(log_sum.sum) && isfinite(log_sum.largest));
        kernels->layer_norm(x, COUNT, ones, zeros, 1e-5, y);
        assert_true(isnan(y[COUNT - 1]));
        kernels->rms_norm(x, COUNT, ones, 1e-5, y);
        assert_true(isnan(y[0]) && isnan(y[COUNT - 1]));
        kernels->softmax(x, COUNT, 1);
        assert_true(isnan(x[0]) && isnan(x[COUNT - 1]));
        fill(x, COUNT, 1, 1);
        x[at] = INFINITY;
        log_sum = (struct score_log_sum){-INFINITY, 0};
        kernels->log_sum(x, COUNT, &log_sum);
        assert_true(isnan(log_sum.sum));
        x[at] = -INFINITY; /* a probability of 0 is nothing special */
        log_sum = (struct score_log_sum){-INFINITY, 0};
        kernels->log_sum(x, COUNT, &log_sum);
        assert_true(isfinite(log_sum.sum));
    }
}

static void conversions(void **state)
{
    (void)state;
    static uint16_t codes[65536 + 16];
    static float out[65536];
    for (size_t i = 0; i < 65536; i++)
        codes[i] = (uint16_t)i;
    for (int isa = 0; isa <= (int)cpu_isa_best(); isa++) {
        const struct score_kernels *kernels = score_kernels_of((enum cpu_isa)isa);
        for (int dtype = 0; dtype < 2; dtype++) {
            kernels->convert(dtype ? TENSOR_DTYPE_BF16 : TENSOR_DTYPE_F16, codes, 65536, out);
            for (size_t i = 0; i < 65536; i++) {
                float want = dtype ? half_from_bf16((uint16_t)i) : half_from_f16((uint16_t)i);
                assert_true(isnan(want) ? isnan(out[i]) : memcmp(&out[i], &want, 4) == 0);
            }
        }
        /* at odd addresses, and a part of a vector */
        unsigned char bytes[2 * 21 + 1];
        memcpy(bytes + 1, &codes[15360], 42);
        kernels->convert(TENSOR_DTYPE_F16, bytes + 1, 21, out);
        for (size_t i = 0; i < 21; i++)
            assert_true(out[i] == half_from_f16((uint16_t)(15360 + i)));
    }
}

static void instruction_sets_agree(void **state)
{
    (void)state;
    for (int isa = 1; isa <= (int)cpu_isa_best(); isa++) {
        const struct score_kernels *one = score_kernels_of(CPU_ISA_PORTABLE);
        const struct score_kernels *two = score_kernels_of((enum cpu_isa)isa);
        for (size_t count = 1; count <= COUNT; count++) {
            float x[COUNT], y[COUNT], w[COUNT], b[COUNT];
            fill(w, count, 5, 2), fill(b, count, 6, 1);
#define COMPARE(call_x, call_y)                                                                              \
    fill(x, count, 4, 6);                                                                                    \
    memcpy(y, x, sizeof y);                                                                                  \
    call_x;                                                                                                  \
    call_y;                                                                                                  \
    assert_memory_equal(x, y, count * sizeof(float))
            COMPARE(one->layer_norm(x, count, w, b, 1e-5, x), two->layer_norm(y, count, w, b, 1e-5, y));
            COMPARE(one->rms_norm(x, count, w, 1e-5, x), two->rms_norm(y, count, w, 1e-5, y));
            COMPARE(one->softmax(x, count, 0.3F), two->softmax(y, count, 0.3F));
            for (int a = 0; a < SCORE_ACTIVATION_XIELU; a++) {
                COMPARE(one->activate((enum score_activation)a, x, b, count),
                        two->activate((enum score_activation)a, y, b, count));
                COMPARE(one->gate((enum score_activation)a, x, b, count),
                        two->gate((enum score_activation)a, y, b, count));
            }
            const struct score_xielu numbers = {w[0], b[0], 0.5F, -1e-6F};
            COMPARE(one->xielu(&numbers, x, count), two->xielu(&numbers, y, count));
            struct score_log_sum first = {-INFINITY, 0}, second = {-INFINITY, 0};
            fill(x, count, 4, 6);
            one->log_sum(x, count, &first);
            two->log_sum(x, count, &second);
            assert_true(first.largest == second.largest && first.sum == second.sum);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations),
        cmocka_unit_test(xielu),
        cmocka_unit_test(gates),
        cmocka_unit_test(norms_and_softmax),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(conversions),
        cmocka_unit_test(instruction_sets_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
