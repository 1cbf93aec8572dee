#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/model/schedule.h"

#include <math.h>

static struct model_schedule find(const char *model)
{
    struct model_schedule schedule = {0};
    struct err err = ERR_INIT;
    if (model_schedule_find(model, &schedule, &err) || model_schedule_check(&schedule, &err))
        fail_msg("%s", err.message);
    return schedule;
}

static void test_names(void **state)
{
    (void)state;
    static const char *const known[] = {
        "EleutherAI/pythia-14m",
        "EleutherAI/pythia-1b",
        "EleutherAI/pythia-1.4b-deduped",
        "EleutherAI/pythia-70m-seed9",
        "EleutherAI/pythia-160m-data-seed1",
        "EleutherAI/pythia-160m-weight-seed3",
    };
    static const char *const unknown[] = {
        "EleutherAI/pythia-1.4b-v0", "EleutherAI/pythia-70m-seed", "EleutherAI/pythia-70m-deduped-v0",
        "EleutherAI/pythia-71m",     "someone/pythia-70m",         "EleutherAI/pythia-",
        "EleutherAI/pythia-70mx",    "garden/neox-tiny",           "EleutherAI/pythia-70m-deduped1",
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        (void)find(known[i]);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        struct model_schedule schedule;
        struct err err = ERR_INIT;
        assert_int_equal(model_schedule_find(unknown[i], &schedule, &err), ERR_NOT_FOUND);
    }
}

/* The first update has rate 0; warm-up ends at 1430; the cosine meets its floor at 115139 and stays there. */
static void test_pythia_rates(void **state)
{
    (void)state;
    struct model_schedule schedule = find("EleutherAI/pythia-70m");
    assert_true(model_schedule_rate(&schedule, 0) == 0);
    assert_true(fabs(model_schedule_rate(&schedule, 715) - 5e-4) < 1e-15);
    assert_true(fabs(model_schedule_rate(&schedule, 1430) - 1e-3) < 1e-15);
    assert_true(model_schedule_rate(&schedule, 115138) > 1e-4);
    assert_true(model_schedule_rate(&schedule, 115140) == 1e-4);
    assert_true(model_schedule_rate(&schedule, 142999) == 1e-4);
    assert_true(model_schedule_sum(&schedule, 0) == 0);
    assert_true(model_schedule_sum(&schedule, 1) == 0);
    assert_true(fabs(model_schedule_sum(&schedule, 3) - 3e-3 / 1430) < 1e-15);
}

/* Weight decay 0.1 leaves exp(-0.1 sum) of the first weights: 1/e is reached at these steps. */
static void test_pythia_decay(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        int64_t step;
    } cases[] = {
        {"EleutherAI/pythia-70m", 10748},  {"EleutherAI/pythia-160m", 17550},
        {"EleutherAI/pythia-410m", 35611}, {"EleutherAI/pythia-1.4b", 57181},
        {"EleutherAI/pythia-2.8b", 80036},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_schedule schedule = find(cases[i].model);
        assert_true(schedule.weight_decay * model_schedule_sum(&schedule, cases[i].step - 1) < 1);
        assert_true(schedule.weight_decay * model_schedule_sum(&schedule, cases[i].step + 1) >= 1);
    }
    struct model_schedule last = find("EleutherAI/pythia-12b");
    assert_true(fabs(exp(-0.1 * model_schedule_sum(&last, 143000)) - 0.41) < 0.005);
}

static void test_other_kinds(void **state)
{
    (void)state;
    struct model_schedule schedule = {.peak = 1, .floor = 0.1, .warmup_steps = 10, .total_steps = 110};
    schedule.kind = MODEL_SCHEDULE_KIND_COSINE;
    assert_true(fabs(model_schedule_rate(&schedule, 60) - 0.55) < 1e-12);
    assert_true(fabs(model_schedule_rate(&schedule, 110) - 0.1) < 1e-12);
    assert_true(fabs(model_schedule_rate(&schedule, 500) - 0.1) < 1e-12);
    schedule.kind = MODEL_SCHEDULE_KIND_LINEAR;
    assert_true(fabs(model_schedule_rate(&schedule, 35) - 0.775) < 1e-12);
    schedule.kind = MODEL_SCHEDULE_KIND_CONSTANT;
    assert_true(model_schedule_rate(&schedule, 100) == 1);
    assert_true(fabs(model_schedule_rate(&schedule, 5) - 0.5) < 1e-12);
    schedule.warmup_steps = 0;
    assert_true(model_schedule_rate(&schedule, 0) == 1);
}

static void test_check(void **state)
{
    (void)state;
    static const struct model_schedule bad[] = {
        {.kind = (enum model_schedule_kind)99, .peak = 1, .total_steps = 10},
        {.peak = 0, .total_steps = 10},
        {.peak = (double)NAN, .total_steps = 10},
        {.peak = (double)INFINITY, .total_steps = 10},
        {.peak = 1, .floor = 2, .total_steps = 10},
        {.peak = 1, .floor = -1, .total_steps = 10},
        {.peak = 1, .warmup_steps = 10, .total_steps = 10},
        {.peak = 1, .warmup_steps = -1, .total_steps = 10},
        {.peak = 1, .total_steps = INT64_MAX},
        {.peak = 1, .total_steps = 10, .weight_decay = (double)NAN},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = ERR_INIT;
        assert_int_equal(model_schedule_check(&bad[i], &err), ERR_INVALID);
    }
    enum model_schedule_kind kind = MODEL_SCHEDULE_KIND_COUNT;
    struct err err = ERR_INIT;
    assert_int_equal(model_schedule_kind_parse("cosine_neox", &kind, &err), 0);
    assert_int_equal(kind, MODEL_SCHEDULE_KIND_COSINE_NEOX);
    assert_int_equal(model_schedule_kind_parse("step", &kind, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),        cmocka_unit_test(test_pythia_rates),
        cmocka_unit_test(test_pythia_decay), cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
