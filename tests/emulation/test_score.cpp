/* The kernels of scoring on the processor (emulation.h) against float64 loops; equal bits in every order of
 * threads. */
#include "score_rows.cpp"

#include "score_rms.cpp"

#include "score_activation.cpp"

#include "score_neighbours.cpp"

#include "score_scale.cpp"
#include "score_xielu.cpp"

#include "score_head.cpp"

#include "score_routing.cpp"

#include "score_attention.cpp"

#include "score_attention_plain.cpp"

#include "tests/emulation/checks.h"

constexpr unsigned seeds = 2;

/* Random numbers from -1 to 1. */
static float draw()
{
    static std::mt19937 random(7);
    return std::uniform_real_distribution<float>(-1, 1)(random);
}

template <typename T> static std::vector<T> numbers(size_t count)
{
    std::vector<T> made(count);
    for (T &one : made)
        one = from_float<T>(draw());
    return made;
}

/* Runs `call(out)` in several orders; the results must be equal, the last one is returned. */
template <typename T, typename F> static std::vector<T> in_any_order(size_t count, const F &call)
{
    std::vector<T> first, out;
    for (unsigned seed = 1; seed <= seeds; seed++) {
        out.assign(count, T());
        call(out.data(), seed);
        if (seed == 1)
            first = out;
        CHECK(std::memcmp(first.data(), out.data(), count * sizeof(T)) == 0);
    }
    return out;
}

template <typename T> static double tolerance()
{
    return std::is_same<T, float>::value ? 4e-6 : std::is_same<T, __half>::value ? 2e-3 : 8e-3;
}

/* COUNT 0: the kernel for any width. */
template <typename T, int GROUP, int COUNT> static void norm(uint32_t rows, uint32_t width)
{
    const unsigned block_rows = ROW_THREADS / GROUP;
    const auto x = numbers<float>(rows * width), w = numbers<float>(2 * width), b = numbers<float>(2 * width);
    const size_t count = (size_t)rows * width;
    const auto out = in_any_order<T>(2 * count, [&](T *to, unsigned seed) {
        const score_norm first = {w.data(), b.data(), to}, second = {&w[width], &b[width], to + count};
        emulation::launch({(rows + block_rows - 1) / block_rows, 1, 1}, ROW_THREADS, 0, seed, [&] {
            if constexpr (COUNT > 0)
                norm_kernel<T, GROUP, COUNT>(x.data(), rows, width, 1e-5F, first, second);
            else
                norm_any_kernel<T>(x.data(), width, 1e-5F, first, second);
        });
    });
    for (uint32_t i = 0; i < rows; i++) {
        double mean = 0, variance = 0;
        for (uint32_t j = 0; j < width; j++)
            mean += (double)x[i * width + j] / width;
        for (uint32_t j = 0; j < width; j++)
            variance += std::pow((double)x[i * width + j] - mean, 2) / width;
        for (uint32_t j = 0; j < 2 * width; j++) {
            const double normed = ((double)x[i * width + j % width] - mean) / std::sqrt(variance + 1e-5);
            const double want = normed * (double)w[j] + (double)b[j];
            const T found = out[(j >= width ? count : 0) + i * width + j % width];
            CHECK(std::fabs((double)to_float(found) - want) <=
                  tolerance<T>() * std::fmax(1, std::fabs(want)));
        }
    }
}

/* COUNT 0: the kernel for any width. Of a row `parts` pieces are normalised; what lies behind them stays. */
template <typename From, typename To, bool IS_SUM, int GROUP, int COUNT>
static void rms_norm(uint32_t rows, uint32_t width, uint32_t stride, uint32_t parts = 1)
{
    const unsigned block_rows = ROW_THREADS / GROUP;
    const auto x = numbers<From>((size_t)rows * stride);
    const auto before = numbers<To>((size_t)rows * stride);
    const auto w = numbers<float>(width);
    const score_rms rms = {w.data(), rows, width, 1e-5F};
    const auto out = in_any_order<To>(x.size(), [&](To *to, unsigned seed) {
        std::copy(before.begin(), before.end(), to);
        emulation::launch({(rows + block_rows - 1) / block_rows, parts, 1}, ROW_THREADS, 0, seed, [&] {
            if constexpr (COUNT > 0)
                rms_kernel<From, To, IS_SUM, GROUP, COUNT>(rms, x.data(), stride, to);
            else
                rms_any_kernel<From, To, IS_SUM>(rms, x.data(), stride, to);
        });
    });
    for (uint32_t i = 0; i < rows; i++) {
        std::vector<double> square(parts);
        for (uint32_t j = 0; j < parts * width; j++)
            square[j / width] += std::pow((double)to_float(x[i * stride + j]), 2) / width;
        for (uint32_t j = 0; j < stride; j++) {
            const double there = (double)to_float(before[i * stride + j]);
            double want = there;
            if (j < parts * width)
                want = (double)to_float(x[i * stride + j]) / std::sqrt(square[j / width] + 1e-5) *
                           (double)w[j % width] +
                       (IS_SUM ? there : 0);
            CHECK(std::fabs((double)to_float(out[i * stride + j]) - want) <=
                  tolerance<To>() * std::fmax(1, std::fabs(want)));
        }
    }
}

/* Of float32 in the place of what it is of, as the embedding's is. */
template <int GROUP, int COUNT> static void norm_in_place(uint32_t rows, uint32_t width)
{
    const unsigned block_rows = ROW_THREADS / GROUP;
    const auto x = numbers<float>((size_t)rows * width), w = numbers<float>(width), b = numbers<float>(width);
    const score_norm none = {nullptr, nullptr, nullptr};
    const auto run = [&](bool is_in_place) {
        return in_any_order<float>(x.size(), [&](float *to, unsigned seed) {
            std::copy(x.begin(), x.end(), to);
            const float *from = is_in_place ? to : x.data();
            const score_norm one = {w.data(), b.data(), to};
            emulation::launch({(rows + block_rows - 1) / block_rows, 1, 1}, ROW_THREADS, 0, seed, [&] {
                if constexpr (COUNT > 0)
                    norm_kernel<float, GROUP, COUNT>(from, rows, width, 1e-5F, one, none);
                else
                    norm_any_kernel<float>(from, width, 1e-5F, one, none);
            });
        });
    };
    CHECK(run(true) == run(false));
}

template <typename T> static void rms_norms()
{
    rms_norm<float, T, false, 32, 4>(17, 4, 4);
    rms_norm<T, T, false, 32, 4>(5, 68, 204);
    rms_norm<T, T, false, 32, 4>(11, 16, 100, 5);
    rms_norm<float, T, false, 32, 16>(9, 1032, 1032);
    rms_norm<T, T, false, ROW_THREADS, 8>(2, 2052, 2056);
    rms_norm<T, T, false, ROW_THREADS, 0>(2, 1031, 1033);
    rms_norm<T, T, false, ROW_THREADS, 0>(2, 7, 25, 3);
    rms_norm<float, T, false, ROW_THREADS, 0>(3, 1, 1);
}

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

/* Ends within a block. */
static void scales()
{
    const auto x = numbers<float>(2 * ROW_THREADS + 5);
    const auto out = in_any_order<float>(x.size(), [&](float *to, unsigned seed) {
        std::copy(x.begin(), x.end(), to);
        emulation::launch({3, 1, 1}, ROW_THREADS, 0, seed, [&] { scale_kernel(to, x.size() - 2, 12.5F); });
    });
    for (size_t i = 0; i < x.size(); i++)
        CHECK(out[i] == (i < x.size() - 2 ? x[i] * 12.5F : x[i]));
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

/* Queries, keys and values of `rows` inputs: per head (GPT-NeoX) or in blocks, where so many heads may share
 * a key. */
struct shape {
    uint32_t head_count, head_size;
    bool is_per_head;
    uint32_t group = 1;
    std::vector<float> slopes = {}; /* of ALiBi, for each head */
    uint32_t window = 0;
};

static score_heads heads_of(const shape &s)
{
    const uint32_t d = s.head_count * s.head_size, kv = d / s.group;
    return {s.head_count,
            s.head_size,
            s.is_per_head ? 3 * s.head_size : s.head_size,
            s.is_per_head ? s.head_size : d,
            s.is_per_head ? 2 * s.head_size : d + kv,
            d + 2 * kv};
}

template <typename T, int V> static void rotation(const shape &s, uint32_t half)
{
    const score_heads heads = heads_of(s);
    const std::vector<uint32_t> positions = {0, 1, 2, 0, 1, 7};
    const uint32_t rows = (uint32_t)positions.size();
    const auto qkv = numbers<T>(rows * heads.row_stride);
    const auto cosine = numbers<float>(8 * half), sine = numbers<float>(8 * half);
    const auto out = in_any_order<T>(qkv.size(), [&](T *to, unsigned seed) {
        std::copy(qkv.begin(), qkv.end(), to);
        const uint32_t rows_per_block = 4;
        emulation::launch({2, 1, 1}, ROW_THREADS, 0, seed, [&] {
            if (s.group > 1)
                rotate_kernel<T, V, true>(to, heads, positions.data(), rows, rows_per_block, cosine.data(),
                                          sine.data(), half, s.group);
            else
                rotate_kernel<T, V, false>(to, heads, positions.data(), rows, rows_per_block, cosine.data(),
                                           sine.data(), half, s.group);
        });
    });
    for (uint32_t row = 0; row < rows; row++)
        for (uint32_t head = 0; head < s.head_count; head++)
            for (uint32_t part = 0; part < (head < s.head_count / s.group ? 3U : 1U); part++)
                for (uint32_t i = 0; i < s.head_size; i++) {
                    const size_t start = (size_t)row * heads.row_stride + head * heads.head_stride +
                                         (part == 2 ? heads.value_shift : part * heads.key_shift);
                    const size_t angle = positions[row] * half + i % std::max(half, 1U);
                    double want = (double)to_float(qkv[start + i]);
                    if (part < 2 && i < 2 * half) {
                        const double other = (double)to_float(qkv[start + (i < half ? i + half : i - half)]);
                        want =
                            want * (double)cosine[angle] + (i < half ? -other : other) * (double)sine[angle];
                    }
                    CHECK(std::fabs((double)to_float(out[start + i]) - want) <= tolerance<T>());
                }
}

/* Of a model whose pairs are neighbours: `half` of them in each head, at once PAIRS, in pieces of WIDE. */
template <typename T, int PAIRS, int WIDE> static void neighbours(const shape &s, uint32_t half)
{
    const score_heads heads = heads_of(s);
    const std::vector<uint32_t> positions = {0, 1, 2, 0, 1, 7};
    const uint32_t rows = (uint32_t)positions.size();
    const auto qkv = numbers<T>(rows * heads.row_stride);
    const auto cosine = numbers<float>(8 * half), sine = numbers<float>(8 * half);
    const auto out = in_any_order<T>(qkv.size(), [&](T *to, unsigned seed) {
        std::copy(qkv.begin(), qkv.end(), to);
        emulation::launch({rows, 1, 1}, ROW_THREADS, 0, seed, [&] {
            rotate_neighbours_kernel<T, PAIRS, WIDE>(to, heads, positions.data(), cosine.data(), sine.data(),
                                                     half);
        });
    });
    for (size_t i = 0; i < qkv.size(); i++) {
        const uint32_t place = (uint32_t)(i % heads.row_stride), e = place % s.head_size;
        const size_t angle = positions[i / heads.row_stride] * half + e / 2;
        double want = (double)to_float(qkv[i]);
        if (place < heads.value_shift && e < 2 * half)
            want = want * (double)cosine[angle] +
                   (double)to_float(qkv[i ^ 1]) * (e % 2 ? 1 : -1) * (double)sine[angle];
        CHECK(std::fabs((double)to_float(out[i]) - want) <= tolerance<T>());
    }
}

/* Documents that begin and end at these offsets. */
static std::vector<score_tile> tiles_of(const std::vector<uint32_t> &offsets)
{
    std::vector<score_tile> tiles;
    for (size_t i = 0; i + 1 < offsets.size(); i++)
        for (uint32_t row = offsets[i]; row < offsets[i + 1]; row += SCORE_ATTENTION_ROWS)
            tiles.push_back({offsets[i], row, std::min(SCORE_ATTENTION_ROWS, offsets[i + 1] - row)});
    return tiles;
}

/* Documents of 1, 37, 3 and 150 inputs, whose queries meet what `launch(qkv, heads, tiles, out, seed)` does.
 */
template <typename T, typename F> static void attention_by(const shape &s, double near, const F &launch)
{
    const score_heads heads = heads_of(s);
    const std::vector<uint32_t> offsets = {0, 1, 38, 41, 191};
    const std::vector<score_tile> tiles = tiles_of(offsets);
    const uint32_t d = s.head_count * s.head_size, rows = offsets.back();
    const auto qkv = numbers<T>((size_t)rows * heads.row_stride);
    const double scale = 1 / std::sqrt((double)s.head_size);
    const auto out = in_any_order<T>(
        (size_t)rows * d, [&](T *to, unsigned seed) { launch(qkv.data(), heads, tiles, to, seed); });
    for (size_t i = 0; i + 1 < offsets.size(); i++)
        for (uint32_t row = offsets[i]; row < offsets[i + 1]; row++)
            for (uint32_t head = 0; head < s.head_count; head++) {
                std::vector<double> want(s.head_size, 0);
                double sum = 0;
                const T *query = &qkv[(size_t)row * heads.row_stride + head * heads.head_stride];
                const uint32_t first =
                    s.window && row >= offsets[i] + s.window ? row + 1 - s.window : offsets[i];
                for (uint32_t key = first; key <= row; key++) {
                    const T *at = &qkv[(size_t)key * heads.row_stride + head / s.group * heads.head_stride];
                    double dot = 0;
                    for (uint32_t j = 0; j < s.head_size; j++)
                        dot += (double)to_float(query[j]) * (double)to_float(at[heads.key_shift + j]);
                    const double away = s.slopes.empty() ? 0 : (double)s.slopes[head] * (double)(row - key);
                    const double weight = std::exp(dot * scale - away);
                    sum += weight;
                    for (uint32_t j = 0; j < s.head_size; j++)
                        want[j] += weight * (double)to_float(at[heads.value_shift + j]);
                }
                for (uint32_t j = 0; j < s.head_size; j++)
                    CHECK(std::fabs((double)to_float(out[(size_t)row * d + head * s.head_size + j]) -
                                    want[j] / sum) <= near);
            }
}

/* An element of a key is -Inf, the overflow of a number, where all queries are above 0: a weight of 0 would
 * pass over it. All queries from that key on that see it are NaN, others are not. */
template <typename T, typename F> static void attention_overflows(const shape &s, const F &launch)
{
    const score_heads heads = heads_of(s);
    const std::vector<uint32_t> offsets = {0, 30, 160};
    const std::vector<score_tile> tiles = tiles_of(offsets);
    const uint32_t rows = offsets.back();
    auto qkv = numbers<T>((size_t)rows * heads.row_stride);
    for (uint32_t at : {30U, 75U, 94U, 159U}) {
        for (uint32_t row = 0; row < rows; row++)
            qkv[(size_t)row * heads.row_stride] = from_float<T>(row < at ? 0.5F : 0.25F);
        T &key = qkv[(size_t)at * heads.row_stride + heads.key_shift];
        const T before = key;
        key = from_float<T>(-INFINITY);
        std::vector<T> out((size_t)rows * s.head_size);
        launch(qkv.data(), heads, tiles, out.data(), at);
        key = before;
        for (size_t i = 0; i < out.size(); i++)
            CHECK(std::isnan(to_float(out[i])) ==
                  (i / s.head_size >= at && (!s.window || i / s.head_size < at + s.window)));
    }
}

template <typename T, bool IS_GROUPED = false, bool HAS_ALIBI = false, bool HAS_WINDOW = false>
static void attention(const shape &s)
{
    const float scale = (float)(1 / std::sqrt((double)s.head_size));
    const unsigned parts = (s.head_size + BLOCK_DIMENSIONS - 1) / BLOCK_DIMENSIONS;
    const auto launch = [&](const T *qkv, const score_heads &heads, const std::vector<score_tile> &tiles,
                            T *to, unsigned seed) {
        emulation::launch({(unsigned)tiles.size(), s.head_count, parts}, 32 * WARPS,
                          WARPS * s.head_size * sizeof(float), seed, [&] {
                              attention_plain_kernel<T, IS_GROUPED, HAS_ALIBI, HAS_WINDOW>(
                                  qkv, heads, tiles.data(), scale, to, (uint64_t)s.head_count * s.head_size,
                                  s.group, s.slopes.data(), s.window);
                          });
    };
    attention_by<T>(s, tolerance<T>(), launch);
    if (overflows<T> && s.head_count == 1)
        attention_overflows<T>(s, launch);
}

/* Weights are rounded to T before they meet the values. */
template <typename T, int SIZE, int KEYS, int BLOCKS, bool IS_GROUPED = false, bool HAS_ALIBI = false,
          bool HAS_WINDOW = false>
static void matrix_attention(const shape &s)
{
    const float scale = (float)(1.4426950408889634 / std::sqrt((double)s.head_size));
    const size_t bytes = (size_t)(TILE_ROWS + STAGES * 2 * KEYS) * (SIZE + ROW_PADDING) * sizeof(T);
    const auto launch = [&](const T *qkv, const score_heads &heads, const std::vector<score_tile> &tiles,
                            T *to, unsigned seed) {
        emulation::launch({(unsigned)tiles.size() * s.head_count, 1, 1}, TILE_THREADS, bytes, seed, [&] {
            attention_kernel<T, SIZE, KEYS, BLOCKS, IS_GROUPED, HAS_ALIBI, HAS_WINDOW>(
                qkv, heads, tiles.data(), scale, to, (uint64_t)s.head_count * s.head_size, s.group,
                s.slopes.data(), (float)std::sqrt((double)s.head_size), s.window);
        });
    };
    attention_by<T>(s, std::is_same<T, __half>::value ? 1e-3 : 8e-3, launch);
    if (overflows<T> && s.head_count == 1)
        attention_overflows<T>(s, launch);
}

/* Logits of `rows` rows and blocks of `widths` tokens, spoilt by `spoil`. */
static void head(const std::vector<uint32_t> &widths, const std::function<void(std::vector<float> &)> &spoil,
                 bool is_number)
{
    uint32_t vocabulary = 0;
    for (uint32_t width : widths)
        vocabulary += width;
    const uint32_t rows = 3;
    const std::vector<uint32_t> targets = {0, vocabulary / 2, vocabulary - 1};
    std::vector<float> logits = numbers<float>(rows * vocabulary);
    for (float &one : logits)
        one *= 20;
    logits[vocabulary + targets[1]] = 30; /* the second row's target is the most probable */
    spoil(logits);
    std::vector<uint8_t> hits(rows);
    const auto logprobs = in_any_order<double>(rows, [&](double *to, unsigned seed) {
        std::vector<score_head_state> states(rows);
        emulation::launch({1, 1, 1}, 128, 0, seed, [&] { head_start_kernel(states.data(), rows); });
        for (uint32_t i = 0, first = 0; i < widths.size(); first += widths[i++]) {
            std::vector<float> part;
            for (uint32_t row = 0; row < rows; row++)
                part.insert(part.end(), &logits[row * vocabulary + first],
                            &logits[row * vocabulary + first] + widths[i]);
            emulation::launch({rows, 1, 1}, HEAD_THREADS, 0, seed, [&] {
                if (widths[i] % 4 == 0)
                    head_add_kernel<4>(part.data(), widths[i], first, targets.data(), states.data());
                else
                    head_add_kernel<1>(part.data(), widths[i], first, targets.data(), states.data());
            });
        }
        emulation::launch({1, 1, 1}, 128, 0, seed,
                          [&] { head_finish_kernel(states.data(), targets.data(), rows, to, hits.data()); });
    });
    for (uint32_t row = 0; row < rows; row++) {
        double sum = 0;
        const float *x = &logits[row * vocabulary];
        for (uint32_t i = 0; i < vocabulary; i++)
            sum += std::exp((double)x[i]);
        const double want = (double)x[targets[row]] - std::log(sum);
        CHECK(is_number ? std::fabs(logprobs[row] - want) < 1e-5 : std::isnan(logprobs[row]));
        CHECK(hits[row] == (is_number && std::max_element(x, x + vocabulary) == x + targets[row]));
    }
}

static void heads()
{
    head(
        {1}, [](std::vector<float> &) {}, true);
    head(
        {300, 300, 7}, [](std::vector<float> &) {}, true);
    head(
        {8192, 8191, 1, 1028}, [](std::vector<float> &) {}, true);
    head(
        {300, 300, 7}, [](std::vector<float> &x) { std::fill(x.begin(), x.end(), 1.0F); },
        true); /* the first wins */
    head(
        {40, 20}, [](std::vector<float> &x) { std::fill(x.begin(), x.end(), (float)NAN); }, false);
    for (size_t at : {0, 45}) /* one NaN per row, in the first block or the last */
        head(
            {40, 20}, [&](std::vector<float> &x) { x[at] = x[60 + at] = x[120 + at] = NAN; }, false);
    /* a first block of nothing but NaN, and none after it */
    head(
        {40, 20},
        [](std::vector<float> &x) {
            for (size_t i = 0; i < x.size(); i++)
                x[i] = i % 60 < 40 ? NAN : x[i];
        },
        false);
}

template <int V, typename Piece> static void rows_of(uint32_t width)
{
    const auto table = numbers<__half>(9 * width);
    const std::vector<uint32_t> ids = {8, 0, 3, 3, 1, 1, 2, 7, 5};
    const size_t count = ids.size() * width, pieces = width * sizeof(__half) / sizeof(Piece);
    const auto hidden = in_any_order<float>(count, [&](float *to, unsigned seed) {
        emulation::launch({2, 1, 1}, ROW_THREADS, 0, seed,
                          [&] { embed_kernel<__half, V, false>(table.data(), ids.data(), 9, width, to); });
        emulation::launch({2, 1, 1}, ROW_THREADS, 0, seed,
                          [&] { embed_kernel<__half, V, true>(table.data(), &ids[1], 8, width, to); });
    });
    const auto rows = in_any_order<Piece>(9 * pieces, [&](Piece *to, unsigned seed) {
        emulation::launch({2, 1, 1}, ROW_THREADS, 0, seed, [&] {
            gather_kernel<Piece>((const Piece *)table.data(), ids.data(), 9, pieces, to);
        });
    });
    for (size_t i = 0; i < count; i++) {
        const float added = i / width < 8 ? to_float(table[ids[i / width + 1] * width + i % width]) : 0;
        CHECK(hidden[i] == to_float(table[ids[i / width] * width + i % width]) + added);
        CHECK(std::memcmp((const uint16_t *)rows.data() + i, &table[ids[i / width] * width + i % width], 2) ==
              0);
    }
}

template <int V> static void converted(uint32_t rows, uint32_t width, uint32_t stride)
{
    const auto table = numbers<__half>((size_t)rows * width);
    const auto narrow =
        in_any_order<__nv_bfloat16>((size_t)rows * stride, [&](__nv_bfloat16 *to, unsigned seed) {
            emulation::launch({2, 1, 1}, ROW_THREADS, 0, seed, [&] {
                convert_kernel<__half, __nv_bfloat16, V>(table.data(), to, rows, width, stride);
            });
        });
    for (size_t i = 0; i < table.size(); i++) {
        const float want = to_float(table[i]);
        CHECK(std::fabs(to_float(narrow[i / width * stride + i % width]) - want) <= std::fabs(want) / 256);
    }
}

static void copies()
{
    rows_of<1, uint16_t>(70);
    rows_of<4, uint4>(200);
    converted<1>(9, 69, 70);
    converted<4>(3, 2000, 2004);
}

/* What the router of an input with these logits chooses, in the order of the experts, and its weights. */
static std::vector<std::pair<uint32_t, double>> chosen_of(const float *logits, uint32_t experts,
                                                          uint32_t per_input, bool is_normalised)
{
    std::vector<uint32_t> order(experts);
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
    double all = 0, own = 0;
    for (uint32_t i = 0; i < experts; i++) {
        const double part = std::exp((double)logits[i] - (double)logits[order[0]]);
        all += part;
        own += std::find(order.begin(), order.begin() + per_input, i) != order.begin() + per_input ? part : 0;
    }
    std::sort(order.begin(), order.begin() + per_input);
    std::vector<std::pair<uint32_t, double>> chosen;
    for (uint32_t i = 0; i < per_input; i++)
        chosen.push_back({order[i], std::exp((double)logits[order[i]] - (double)logits[order[0]])});
    double largest = -INFINITY;
    for (uint32_t i = 0; i < experts; i++)
        largest = std::fmax(largest, (double)logits[i]);
    for (auto &[expert, weight] : chosen)
        weight = std::exp((double)logits[expert] - largest) / (is_normalised ? own : all);
    return chosen;
}

/* Inputs, their choices grouped by expert and answered: `spoil` changes the logits. */
static void routes(uint32_t rows, uint32_t experts, uint32_t per_input, uint32_t width, bool is_normalised,
                   const std::function<void(std::vector<float> &)> &spoil)
{
    const uint32_t count = rows * per_input, parts = (uint32_t)score_routes_parts(count);
    std::vector<float> logits = numbers<float>((size_t)rows * experts);
    spoil(logits);
    std::vector<float> weights(count);
    const auto choices = in_any_order<uint32_t>(count, [&](uint32_t *to, unsigned seed) {
        emulation::launch({(rows + ROW_WARPS - 1) / ROW_WARPS, 1, 1}, ROW_THREADS, 0, seed, [&] {
            choose_kernel(logits.data(), rows, experts, per_input, is_normalised, to, weights.data());
        });
    });
    for (uint32_t row = 0; row < rows; row++) {
        const float *x = &logits[(size_t)row * experts];
        const bool is_number =
            std::all_of(x, x + experts, [](float one) { return !std::isnan(one) && one < INFINITY; });
        const auto want = chosen_of(x, experts, per_input, is_normalised);
        for (uint32_t i = 0; i < per_input; i++) {
            const uint32_t at = row * per_input + i;
            CHECK(choices[at] < experts && (i == 0 || choices[at] > choices[at - 1]));
            if (is_number)
                CHECK(choices[at] == want[i].first && std::fabs((double)weights[at] - want[i].second) < 1e-6);
            else
                CHECK(std::isnan(weights[at]));
        }
    }
    std::vector<uint32_t> begins(experts + 1), places(count);
    const auto inputs = in_any_order<uint32_t>(count, [&](uint32_t *to, unsigned seed) {
        std::vector<uint32_t> counts((size_t)parts * experts), starts((size_t)parts * experts);
        emulation::launch({parts, 1, 1}, ROW_THREADS, 0, seed,
                          [&] { count_kernel(choices.data(), count, experts, counts.data()); });
        emulation::launch({1, 1, 1}, ROW_THREADS, 0, seed,
                          [&] { begin_kernel(counts.data(), parts, experts, starts.data(), begins.data()); });
        emulation::launch({parts, 1, 1}, ROW_THREADS, 0, seed, [&] {
            place_kernel(choices.data(), count, experts, per_input, starts.data(), places.data(), to);
        });
    });
    std::vector<uint32_t> order(count);
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return choices[a] < choices[b]; });
    CHECK(begins[0] == 0 && begins[experts] == count);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t expert = choices[order[i]];
        CHECK(begins[expert] <= i && i < begins[expert + 1]);
        CHECK(inputs[i] == order[i] / per_input && places[order[i]] == i);
    }
    const auto answers = numbers<float>((size_t)count * width), before = numbers<float>((size_t)rows * width);
    const auto out = in_any_order<float>(before.size(), [&](float *to, unsigned seed) {
        std::copy(before.begin(), before.end(), to);
        emulation::launch({rows, 1, 1}, ROW_THREADS, 0, seed, [&] {
            if (width % 4)
                answer_kernel<1>(answers.data(), places.data(), weights.data(), per_input, width, to);
            else
                answer_kernel<4>(answers.data(), places.data(), weights.data(), per_input, width, to);
        });
    });
    for (uint32_t i = 0; i < rows * width; i++) {
        float want = before[i];
        for (uint32_t k = i / width * per_input; k < (i / width + 1) * per_input; k++)
            want += weights[k] * answers[(size_t)places[k] * width + i % width];
        CHECK(out[i] == want || (std::isnan(out[i]) && std::isnan(want)));
    }
}

static void all_routes()
{
    const auto as_they_are = [](std::vector<float> &) {};
    routes(1, 1, 1, 3, true, as_they_are);
    routes(9, 5, 2, 8, false, as_they_are);
    routes(9, 64, 8, 7, true, as_they_are);
    routes(10, 300, 3, 4, false, as_they_are); /* more experts than threads, most without an input */
    routes(350, 7, 3, 1, true, as_they_are);   /* in several parts */
    routes(6, 33, 33, 4, false, as_they_are);  /* each input to all */
    routes(20, 40, 1, 1, false, [](std::vector<float> &x) { /* all inputs to the first of equal ones */
                                                            for (size_t i = 0; i < x.size(); i++)
                                                                x[i] = i % 2 ? -0.0F : 0.0F;
    });
    routes(8, 40, 3, 4, true, [](std::vector<float> &x) {
        x[3] = x[39] = -INFINITY; /* weighs nothing */
        x[40 + 2] = NAN, x[80 + 39] = INFINITY, x[120 + 5] = -NAN;
        std::fill(&x[160], &x[200], NAN);
        std::fill(&x[200], &x[240], -1e30F);
        for (size_t i = 240; i < 320; i++)
            x[i] = std::round(x[i] * 2); /* many are equal */
    });
}

template <typename T> static void all_of()
{
    norm<T, 32, 4>(17, 4);
    norm<T, 32, 4>(5, 68);
    norm<T, 32, 16>(9, 1032);
    norm<T, ROW_THREADS, 8>(2, 2052);
    norm<T, ROW_THREADS, 0>(2, 1031);
    activations<T, 0>(3, 43, 47);
    activations<T, 1>(1, 7, 7);
    activations<T, 2>(5, 64, 80);
    activations<T, 3>(2, ROW_THREADS * 2 * 16 / sizeof(T) + 8, ROW_THREADS * 2 * 16 / sizeof(T) + 24);
    rotation<T, 2>({3, 10, true}, 2);
    rotation<T, 1>({3, 10, true}, 3);
    rotation<T, 4>({2, 8, false}, 4);
    rotation<T, 8>({2, 24, false}, 8);
    rotation<T, 4>({6, 8, false, 3}, 4);
    rotation<T, 1>({3, 6, false, 3}, 3);
    neighbours<T, 1, 1>({3, 10, false}, 3);
    neighbours<T, 4, 8>({2, 16, false}, 4);
    neighbours<T, 4, 8>({3, 8, false}, 4);
    rms_norms<T>();
    xielus<T>(3, 43, 47);
    xielus<T>(2, ROW_THREADS * 16 / sizeof(T) + 8, ROW_THREADS * 16 / sizeof(T) + 24);
    gates<T, 0>(3, 43, 86);
    gates<T, 1>(1, 7, 15);
    gates<T, 2>(5, 64, 128);
    gates<T, 3>(2, ROW_THREADS * 16 / sizeof(T) + 8, ROW_THREADS * 32 / sizeof(T) + 16);
    attention<T, true>({4, 9, false, 2});
    attention<T>({2, 7, true});
    attention<T>({1, 33, false});
    attention<T, false, true>({2, 9, true, 1, {0.5F, 0.004F}});
    attention<T, true, false, true>({4, 9, false, 2, {}, 37});
    attention<T, true, false, true>({1, 33, false, 1, {}, 1});
}

int main()
{
    emulation::shared_bytes_max = 99 * 1024; /* the least of those that the module is for */
    all_of<float>();
    all_of<__half>();
    norm_in_place<32, 4>(9, 72);
    norm_in_place<ROW_THREADS, 8>(2, 2052);
    norm_in_place<ROW_THREADS, 0>(2, 1031);
    attention<float>({1, 260, true}); /* more dimensions than one block takes */
    rms_norm<float, float, true, 32, 4>(9, 260, 260);
    rms_norm<float, float, true, ROW_THREADS, 8>(2, 2564, 2564);
    rms_norm<float, float, true, ROW_THREADS, 0>(2, 70, 70);
    rotation<__nv_bfloat16, 1>({1, 4, true}, 1);
    neighbours<__nv_bfloat16, 4, 8>({ROW_THREADS, 8, false}, 4); /* more than a turn of the block's threads */
    all_activations<__half, 0>(11, -14, 0);
    all_activations<__half, 1>(11, -14, 1e-9);
    all_activations<__half, 3>(11, -14, 0);
    all_activations<__nv_bfloat16, 0>(8, -126, 1e-12);
    all_activations<__nv_bfloat16, 1>(8, -126, 1e-9);
    all_activations<__nv_bfloat16, 3>(8, -126, 1e-35);
    matrix_attention<__half, 32, 32, 7>({3, 24, true});
    matrix_attention<__half, 64, 32, 5>({2, 64, false});
    matrix_attention<__half, 32, 32, 7>({1, 32, false});
    matrix_attention<__nv_bfloat16, 80, 32, 4>({1, 80, true});
    matrix_attention<__half, 128, 32, 3>({1, 120, true});
    matrix_attention<__half, 256, 16, 3>({1, 256, true});
    matrix_attention<__half, 64, 32, 5, true>({6, 64, false, 3});
    matrix_attention<__nv_bfloat16, 128, 32, 3, true>({2, 128, false, 2});
    matrix_attention<__half, 64, 32, 5, false, true>({2, 56, true, 1, {0.5F, 0.004F}});
    matrix_attention<__nv_bfloat16, 32, 32, 7, false, true>({1, 16, true, 1, {0.06F}});
    matrix_attention<__half, 32, 32, 7, true, false, true>({4, 24, false, 2, {}, 1});
    matrix_attention<__half, 64, 32, 5, true, false, true>({1, 64, true, 1, {}, 20});
    matrix_attention<__half, 64, 32, 5, true, false, true>({1, 40, false, 1, {}, 64});
    matrix_attention<__nv_bfloat16, 128, 32, 3, true, false, true>({2, 128, false, 2, {}, 33});
    matrix_attention<__nv_bfloat16, 256, 16, 3, true, false, true>({1, 200, true, 1, {}, 5});
    heads();
    spoilt_xielu();
    scales();
    all_routes();
    copies();
    if (!failures)
        std::puts("every kernel gives what float64 gives, in any order of threads");
    return failures != 0;
}
