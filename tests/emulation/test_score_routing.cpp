/* The choice of experts, and what goes to each and comes back. */
#include "kernels/score_routing.cpp"

#include "tests/emulation/score_checks.h"

#include <numeric>

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

/* Which experts sigmoids and a bias choose, and what these weigh. */
static void sigmoids(uint32_t rows, uint32_t experts, uint32_t per_input, bool is_normalised, float scale)
{
    const uint32_t count = rows * per_input;
    std::vector<float> logits = numbers<float>((size_t)rows * experts), bias = numbers<float>(experts);
    for (uint32_t i = 0; rows > 2 && i < experts; i++)
        logits[i] = -200, logits[2 * experts + i] = std::round(logits[2 * experts + i]); /* many are equal */
    if (rows > 1)
        logits[experts + experts / 2] = NAN;
    std::vector<float> weights(count);
    const auto choices = in_any_order<uint32_t>(count, [&](uint32_t *to, unsigned seed) {
        emulation::launch({(rows + ROW_WARPS - 1) / ROW_WARPS, 1, 1}, ROW_THREADS, 0, seed, [&] {
            choose_by_sigmoid_kernel(logits.data(), bias.data(), rows, experts, per_input, is_normalised,
                                     1e-20F, scale, to, weights.data());
        });
    });
    for (uint32_t row = 0; row < rows; row++) {
        const float *x = &logits[(size_t)row * experts];
        const auto key = [&](uint32_t i) { return 1 / (1 + expf(-x[i])) + bias[i]; };
        std::vector<uint32_t> order(experts);
        std::iota(order.begin(), order.end(), 0U);
        if (row != 1)
            std::stable_sort(order.begin(), order.end(),
                             [&](uint32_t a, uint32_t b) { return key(a) > key(b); });
        std::sort(order.begin(), order.begin() + per_input);
        double sum = 1e-20;
        for (uint32_t i = 0; i < per_input; i++)
            sum += 1 / (1 + std::exp(-(double)x[order[i]]));
        for (uint32_t i = 0; i < per_input; i++) {
            const uint32_t at = row * per_input + i;
            CHECK(choices[at] < experts && (i == 0 || choices[at] > choices[at - 1]));
            const double weight = 1 / (1 + std::exp(-(double)x[order[i]]));
            const double want = (is_normalised ? weight / sum : weight) * (double)scale;
            if (row == 1)
                CHECK(std::isnan(weights[at]));
            else
                CHECK(choices[at] == order[i] && std::fabs((double)weights[at] - want) < 2e-6);
        }
    }
}

int test_score_routing()
{
    sigmoids(1, 1, 1, true, 1);
    sigmoids(9, 5, 2, true, 2.5F);
    sigmoids(10, 128, 6, false, 0.5F);
    sigmoids(5, 33, 33, true, 1);
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
    return failures;
}
