/* The head: log-probabilities from logits that come in blocks. */
#include "kernels/score_head.cpp"

#include "gpu/cuda/score_device.cuh"
#include "tests/emulation/score_checks.h"

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

int test_score_head()
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
    return failures;
}
