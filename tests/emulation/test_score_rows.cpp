/* Norms, rotations and copies of rows, and rows times a number. */
#include "kernels/score_rows.cpp"

#include "kernels/score_rms.cpp"

#include "kernels/score_neighbours.cpp"

#include "tests/emulation/score_checks.h"

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
                                                     half, s.group);
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

template <typename T> static void rows_in()
{
    norm<T, 32, 4>(17, 4);
    norm<T, 32, 4>(5, 68);
    norm<T, 32, 16>(9, 1032);
    norm<T, ROW_THREADS, 8>(2, 2052);
    norm<T, ROW_THREADS, 0>(2, 1031);
    rotation<T, 2>({3, 10, true}, 2);
    rotation<T, 1>({3, 10, true}, 3);
    rotation<T, 4>({2, 8, false}, 4);
    rotation<T, 8>({2, 24, false}, 8);
    rotation<T, 4>({6, 8, false, 3}, 4);
    rotation<T, 1>({3, 6, false, 3}, 3);
    neighbours<T, 1, 1>({3, 10, false}, 3);
    neighbours<T, 4, 8>({2, 16, false}, 4);
    neighbours<T, 4, 8>({3, 8, false}, 4);
    neighbours<T, 4, 8>({6, 8, false, 3}, 4);
    neighbours<T, 1, 1>({4, 6, false, 2}, 2);
    rms_norms<T>();
}

int test_score_rows()
{
    rows_in<float>();
    rows_in<__half>();
    norm_in_place<32, 4>(9, 72);
    norm_in_place<ROW_THREADS, 8>(2, 2052);
    norm_in_place<ROW_THREADS, 0>(2, 1031);
    rms_norm<float, float, true, 32, 4>(9, 260, 260);
    rms_norm<float, float, true, ROW_THREADS, 8>(2, 2564, 2564);
    rms_norm<float, float, true, ROW_THREADS, 0>(2, 70, 70);
    rotation<__nv_bfloat16, 1>({1, 4, true}, 1);
    neighbours<__nv_bfloat16, 4, 8>({ROW_THREADS, 8, false}, 4); /* more than a turn of the block's threads */
    scales();
    copies();
    return failures;
}
