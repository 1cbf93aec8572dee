/* Activations and gates. */
#include "kernels/score_activation.cpp"

#include "tests/emulation/score_checks.h"

/* Rows of `width` elements, `stride` apart. */
template <typename T, int ACTIVATION>
static std::vector<T> activated_of(const std::vector<T> &x, uint32_t rows, uint32_t width, uint32_t stride)
{
    constexpr uint32_t n = 16 / sizeof(T);
    return in_any_order<T>(x.size(), [&](T *to, unsigned seed) {
        std::copy(x.begin(), x.end(), to);
        const uint32_t count = rows * (width / n);
        if (width % n || stride % n)
            emulation::launch({rows, 1, 1}, ROW_THREADS, 0, seed,
                              [&] { activate_any_kernel<T, ACTIVATION>(to, width, stride); });
        else
            emulation::launch({count / (2 * ROW_THREADS) + 1, 1, 1}, ROW_THREADS, 0, seed,
                              [&] { activate_kernel<T, ACTIVATION>(to, count, width / n, stride); });
    });
}

template <int ACTIVATION> static double activation_wanted(double v)
{
    return ACTIVATION == 0   ? 0.5 * v * std::erfc(-v / std::sqrt(2.0))
           : ACTIVATION == 1 ? 0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)))
           : ACTIVATION == 2 ? std::fmax(v, 0)
           : ACTIVATION == 4 ? (v > 0 ? v * v : 0)
                             : v / (1 + std::exp(-v));
}

template <typename T, int ACTIVATION> static void activations(uint32_t rows, uint32_t width, uint32_t stride)
{
    auto x = numbers<T>((size_t)rows * stride);
    for (T &one : x)
        one = from_float<T>(6 * to_float(one));
    const auto out = activated_of<T, ACTIVATION>(x, rows, width, stride);
    for (size_t i = 0; i < x.size(); i++) {
        const double v = (double)to_float(x[i]),
                     want = i % stride < width ? activation_wanted<ACTIVATION>(v) : v;
        CHECK(std::fabs((double)to_float(out[i]) - want) <= tolerance<T>() * std::fmax(1, std::fabs(want)));
    }
}

/* Of what is near 0, too: nothing is lost there beside the rounding of the type itself. */
template <typename T> static void xielus(uint32_t rows, uint32_t width, uint32_t stride)
{
    constexpr uint32_t n = 16 / sizeof(T);
    const score_xielu layer = {0.8F, 1.3F, 0.5F, -1e-6F};
    auto x = numbers<T>((size_t)rows * stride);
    for (size_t i = 0; i < x.size(); i++)
        x[i] = from_float<T>(to_float(x[i]) * (i % 2 ? 6.0F : 1e-3F));
    const bool is_whole = width % n == 0 && stride % n == 0;
    const uint32_t vectors = is_whole ? width / n : width;
    const auto out = in_any_order<T>(x.size(), [&](T *to, unsigned seed) {
        std::copy(x.begin(), x.end(), to);
        emulation::launch({rows, vectors / ROW_THREADS + 1, 1}, ROW_THREADS, 0, seed, [&] {
            if (is_whole)
                xielu_kernel<T, n>(to, vectors, stride, layer);
            else
                xielu_kernel<T, 1>(to, vectors, stride, layer);
        });
    });
    for (size_t i = 0; i < x.size(); i++) {
        const double v = (double)to_float(x[i]);
        const double want =
            i % stride >= width ? v
            : v > 0             ? (double)layer.positive * v * v + (double)layer.beta * v
                    : (std::expm1(std::fmin(v, (double)layer.epsilon)) - v) * (double)layer.negative +
                          (double)layer.beta * v;
        const bool is_half = std::is_same<T, __half>::value;
        const double unit = sizeof(T) == 4 ? 0 : is_half ? 0x1p-11 : 0x1p-8, least = is_half ? 0x1p-25 : 0;
        CHECK(std::fabs((double)to_float(out[i]) - want) <=
              unit * std::fabs(want) + least + 4e-7 * std::fmax(std::fabs(v), std::fabs(want)));
    }
}

/* A weight that is NaN shows, as on the CPU, where it is used. */
static void spoilt_xielu()
{
    CHECK(std::isnan(xielu_of({0.8F, 1.3F, 0.5F, NAN}, -1.0F)));
    CHECK(xielu_of({0, 0, 1, NAN}, 2.0F) == 2.0F);
}

/* Gates of `width` elements, with as many that go up behind them. */
template <typename T, int ACTIVATION> static void gates(uint32_t rows, uint32_t width, uint32_t stride)
{
    constexpr uint32_t n = 16 / sizeof(T);
    const auto x = numbers<T>((size_t)rows * stride);
    const auto out = in_any_order<T>(x.size(), [&](T *to, unsigned seed) {
        std::copy(x.begin(), x.end(), to);
        const uint32_t count = rows * (width / n);
        if (width % n || stride % n)
            emulation::launch({rows, 1, 1}, ROW_THREADS, 0, seed,
                              [&] { gate_any_kernel<T, ACTIVATION>(to, width, stride); });
        else
            emulation::launch({count / ROW_THREADS + 1, 1, 1}, ROW_THREADS, 0, seed,
                              [&] { gate_kernel<T, ACTIVATION>(to, count, width / n, stride); });
    });
    for (size_t i = 0; i < x.size(); i++) {
        const double v = (double)to_float(x[i]);
        const double want =
            i % stride < width ? activation_wanted<ACTIVATION>(v) * (double)to_float(x[i + width]) : v;
        CHECK(std::fabs((double)to_float(out[i]) - want) <= tolerance<T>() * std::fmax(1, std::fabs(want)));
    }
}

/* Every float16 and every bfloat16: what 16-bit results are made of is 0.01 units in the last place of
 * float16 away from float64 (`digits` 11), and 0.002 of bfloat16 (8), so that hardly any is rounded
 * otherwise. `least` is the exponent of the smallest normal number; what is smaller than `small` is only
 * small. */
template <typename T, int ACTIVATION> static void all_activations(int digits, int least, double small)
{
    std::vector<T> x(65536);
    for (uint32_t i = 0; i < 65536; i++) {
        const uint16_t bits = (uint16_t)i;
        std::memcpy((void *)&x[i], &bits, sizeof(bits));
    }
    const auto out = activated_of<T, ACTIVATION>(x, 256, 256, 256);
    const double near = digits == 11 ? 0.01 : 0.002;
    size_t away = 0;
    for (size_t i = 0; i < x.size(); i++) {
        const double v = (double)to_float(x[i]), want = activation_wanted<ACTIVATION>(v);
        const double found = (double)to_float(out[i]);
        if (!std::isfinite(v) || !std::isfinite((double)to_float(from_float<T>((float)want)))) {
            CHECK(std::isnan(v) || std::isinf(v) ? (std::isnan(found) || found == want) : found == v);
            continue;
        }
        const double unit =
            std::ldexp(1.0, std::max(std::ilogb(want == 0 ? 1e-300 : want), least) + 1 - digits);
        const double one = (double)near_activation_of<ACTIVATION>((float)v);
        CHECK(std::fabs(one - want) <= near * unit + small);
        CHECK(std::fabs(found - want) <= (0.5 + near) * unit + small);
        away += std::fabs(found - want) > 0.5 * unit;
    }
    CHECK(away < x.size() / 100);
}

template <typename T> static void activations_in()
{
    activations<T, 0>(3, 43, 47);
    activations<T, 1>(1, 7, 7);
    activations<T, 2>(5, 64, 80);
    activations<T, 3>(2, ROW_THREADS * 2 * 16 / sizeof(T) + 8, ROW_THREADS * 2 * 16 / sizeof(T) + 24);
    activations<T, 4>(3, 43, 47);
    activations<T, 4>(5, 64, 80);
    xielus<T>(3, 43, 47);
    xielus<T>(2, ROW_THREADS * 16 / sizeof(T) + 8, ROW_THREADS * 16 / sizeof(T) + 24);
    gates<T, 0>(3, 43, 86);
    gates<T, 1>(1, 7, 15);
    gates<T, 2>(5, 64, 128);
    gates<T, 4>(3, 43, 86);
    gates<T, 3>(2, ROW_THREADS * 16 / sizeof(T) + 8, ROW_THREADS * 32 / sizeof(T) + 16);
}

int test_score_activation()
{
    activations_in<float>();
    activations_in<__half>();
    all_activations<__half, 0>(11, -14, 0);
    all_activations<__half, 1>(11, -14, 1e-9);
    all_activations<__half, 3>(11, -14, 0);
    all_activations<__nv_bfloat16, 0>(8, -126, 1e-12);
    all_activations<__nv_bfloat16, 1>(8, -126, 1e-9);
    all_activations<__nv_bfloat16, 3>(8, -126, 1e-35);
    spoilt_xielu();
    return failures;
}
