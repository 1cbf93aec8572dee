/* Attention, by the matrix units and without them. */
#include "kernels/score_attention.cpp"

#include "kernels/score_attention_plain.cpp"

#include "tests/emulation/score_checks.h"

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

template <typename T> static void plain_attention_in()
{
    attention<T, true>({4, 9, false, 2});
    attention<T>({2, 7, true});
    attention<T>({1, 33, false});
    attention<T, false, true>({2, 9, true, 1, {0.5F, 0.004F}});
    attention<T, true, false, true>({4, 9, false, 2, {}, 37});
    attention<T, true, false, true>({1, 33, false, 1, {}, 1});
}

int test_score_attention()
{
    plain_attention_in<float>();
    plain_attention_in<__half>();
    attention<float>({1, 260, true}); /* more dimensions than one block takes */
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
    return failures;
}
