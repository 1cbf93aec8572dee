/* Which experts the CPU's router chooses, and with which weights: against formulas in float64. */
#include "gpu/cpu/score_experts.h"
#include "tests/unit/score/runs.h"

static const float rows[][5] = {
    {1, 3, 3, 2, 3}, {-2, -2, -2, -2, -2}, {0, 1, 2, 3, 4}, {5, -90, -91, 4, -90}};

/* The largest logits, the first of equal ones first; all weights or those of the chosen ones make up 1. */
static void by_softmax(void **state)
{
    (void)state;
    static const uint32_t wanted[][3] = {{1, 2, 4}, {0, 1, 2}, {4, 3, 2}, {0, 3, 1}};
    struct score_config config = {.expert_count = 5, .experts_per_input = 3};
    struct score_choice chosen[3];
    float logits[5];
    for (size_t i = 0; i < 8; i++) {
        double all = 0, sum = 0;
        config.has_normalised_router = i % 2 == 1;
        memcpy(logits, rows[i / 2], sizeof logits);
        for (size_t j = 0; j < 5; j++)
            all += exp((double)logits[j]);
        for (size_t j = 0; j < 3 && config.has_normalised_router; j++)
            sum += exp((double)rows[i / 2][wanted[i / 2][j]]);
        score_experts_choose(score_kernels_of(cpu_isa_best()), &config, NULL, logits, chosen);
        for (size_t j = 0; j < 3; j++) {
            const double want = exp((double)rows[i / 2][wanted[i / 2][j]]);
            assert_int_equal(chosen[j].expert, wanted[i / 2][j]);
            assert_true(fabs((double)chosen[j].weight - want / (sum > 0 ? sum : all)) < 1e-6);
        }
    }
    memcpy(logits, rows[0], sizeof logits);
    logits[3] = NAN;
    score_experts_choose(score_kernels_of(cpu_isa_best()), &config, NULL, logits, chosen);
    for (size_t j = 0; j < 3; j++)
        assert_true(chosen[j].expert < 5 && isnan(chosen[j].weight));
}

/* A bias decides who is chosen, and not the weight. */
static void by_sigmoid(void **state)
{
    (void)state;
    static const float bias[] = {0.5F, -1, 0, 0.1F, 0};
    static const uint32_t best[] = {0, 3, 2};
    const struct score_config config = {.expert_count = 5,
                                        .experts_per_input = 3,
                                        .has_normalised_router = 1,
                                        .router = SCORE_ROUTER_SIGMOID,
                                        .router_scale = 2.5};
    struct score_choice chosen[3];
    float logits[5];
    double sum = 0;
    memcpy(logits, rows[0], sizeof logits);
    score_experts_choose(score_kernels_of(cpu_isa_best()), &config, bias, logits, chosen);
    for (size_t j = 0; j < 3; j++)
        sum += 1 / (1 + exp(-(double)rows[0][best[j]]));
    for (size_t j = 0; j < 3; j++) {
        assert_int_equal(chosen[j].expert, best[j]);
        assert_true(fabs((double)chosen[j].weight - 2.5 / (1 + exp(-(double)rows[0][best[j]])) / sum) < 1e-6);
    }
    for (size_t j = 0; j < 5; j++)
        logits[j] = -200; /* whose sigmoids are 0: the sum is not */
    score_experts_choose(score_kernels_of(cpu_isa_best()), &config, bias, logits, chosen);
    for (size_t j = 0; j < 3; j++)
        assert_true(chosen[j].weight >= 0 && chosen[j].weight < 1e-6F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_softmax),
        cmocka_unit_test(by_sigmoid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
