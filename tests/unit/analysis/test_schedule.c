/* Learning-rate schedules: the numbers that are known of Pythia's, and the rules on published curves. */
#include "daemon/analysis/schedule.h"

#include "daemon/analysis/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/analysis/near.h"

static void test_pythia(void **state)
{
    (void)state;
    struct schedule schedule = schedule_of_model("EleutherAI/pythia-70m-deduped");
    assert_int_equal(schedule.kind, SCHEDULE_KIND_NEOX_COSINE);
    assert_near(schedule_rate(&schedule, 0), 0, 0); /* why step 1 equals step 0 */
    assert_near(schedule_rate(&schedule, 1430), 1e-3, 1e-15);
    assert_near(schedule_rate(&schedule, 143000), 1e-4, 1e-15);
    assert_near(schedule_floor_step(&schedule), 115139, 2);
    assert_near(schedule_rate(&schedule, 115000), 1e-4, 1e-6);
    assert_true(schedule_rate(&schedule, 110000) > 1.05e-4);
}

/* The table of EleutherAI/pythia's README, and what LLM360's training scripts say. */
static void test_peaks(void **state)
{
    static const struct {
        const char *model;
        double peak;
    } table[] = {{"EleutherAI/pythia-14m", 1e-3},
                 {"EleutherAI/pythia-31m-seed9", 1e-3},
                 {"EleutherAI/pythia-70m", 1e-3},
                 {"EleutherAI/pythia-160m-data-seed1", 6e-4},
                 {"EleutherAI/pythia-410m-deduped", 3e-4},
                 {"EleutherAI/pythia-1b", 3e-4},
                 {"EleutherAI/pythia-1.4b", 2e-4},
                 {"EleutherAI/pythia-2.8b-deduped", 1.6e-4},
                 {"EleutherAI/pythia-6.9b", 1.2e-4},
                 {"EleutherAI/pythia-12b-deduped", 1.2e-4},
                 {"LLM360/Amber", 3e-4},
                 {"LLM360/K2", 1.5e-4}};
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct schedule schedule = schedule_of_model(table[i].model);
        assert_near(schedule.rate_max, table[i].peak, 1e-15);
        assert_near(schedule.rate_min, table[i].peak / 10, 1e-15);
        assert_near(schedule.weight_decay, 0.1, 0);
    }
}

/* Where decay alone leaves 1/e of the first weights: steps that were worked out from the code of gpt-neox. */
static void test_decay(void **state)
{
    (void)state;
    const struct {
        const char *model;
        double efold;
    } table[] = {{"EleutherAI/pythia-14m", 10748},
                 {"EleutherAI/pythia-160m-seed3", 17550},
                 {"EleutherAI/pythia-410m", 35611},
                 {"EleutherAI/pythia-1.4b", 57181},
                 {"EleutherAI/pythia-2.8b", 80036}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct schedule schedule = schedule_of_model(table[i].model);
        const double steps[] = {table[i].efold - 20, table[i].efold + 20};
        struct schedule_sums sums[2];
        schedule_accumulate(&schedule, steps, 2, sums);
        assert_true(sums[0].kept > 0.36788 && sums[1].kept < 0.36788);
    }
    struct schedule schedule = schedule_of_model("EleutherAI/pythia-12b");
    const double last = 143000;
    struct schedule_sums sums;
    schedule_accumulate(&schedule, &last, 1, &sums);
    assert_near(sums.kept, 0.41, 0.01);
}

/* Half the way down, and a quarter. */
static void test_cool_downs(void **state)
{
    static const struct {
        enum schedule_kind kind;
        double quarter, half;
    } cases[] = {{SCHEDULE_KIND_WSD, 0.775, 0.55},
                 {SCHEDULE_KIND_WSD_COSINE, 0.86819805153394642, 0.55},
                 {SCHEDULE_KIND_WSD_SQRT, 0.55, 0.36360389693210719},
                 {SCHEDULE_KIND_WSD_EXPONENTIAL, 0.56234132519034907, 0.31622776601683794}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct schedule schedule = {cases[i].kind, 1, 0.1, 10, 500, 0, 100};
        assert_true(schedule_has_stable(cases[i].kind));
        assert_near(schedule_rate(&schedule, 100), 1, 0);
        assert_near(schedule_rate(&schedule, 200), cases[i].quarter, 1e-15);
        assert_near(schedule_rate(&schedule, 300), cases[i].half, 1e-15);
        assert_near(schedule_rate(&schedule, 500), 0.1, 1e-15);
        assert_near(schedule_rate(&schedule, 900), 0.1, 1e-15);
        assert_near(schedule_floor_step(&schedule), 500, 0);
    }
    assert_false(schedule_has_stable(SCHEDULE_KIND_NEOX_COSINE));
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(schedule_of_model("EleutherAI/pythia-160m-v0").kind, SCHEDULE_KIND_UNKNOWN);
    assert_int_equal(schedule_of_model("EleutherAI/pythia-3b").kind, SCHEDULE_KIND_UNKNOWN);
    assert_int_equal(schedule_of_model("allenai/OLMo-7B").kind, SCHEDULE_KIND_UNKNOWN);
    assert_int_equal(schedule_of_model("").kind, SCHEDULE_KIND_UNKNOWN);
    struct schedule smol = schedule_of_model("HuggingFaceTB/SmolLM3-3B-checkpoints");
    assert_int_equal(smol.kind, SCHEDULE_KIND_WSD);
    assert_near(schedule_rate(&smol, 1000), 1e-4, 1e-15);
    assert_near(schedule_rate(&smol, 4198001), 2e-4, 0);
    assert_near(schedule_rate(&smol, 4459000), 1e-4, 1e-9);
    assert_near(schedule_rate(&smol, 4720000), 0, 0);
    assert_near(schedule_floor_step(&smol), 4720000, 0);
    struct schedule apertus = schedule_of_model("swiss-ai/Apertus-8B-2509");
    assert_near(schedule_rate(&apertus, 2000), 0.55e-4, 1e-15);
    assert_near(schedule_rate(&apertus, 2429920), 1.1e-4, 1e-15);
    assert_near(schedule_rate(&apertus, 2429920 + 197219 / 4.0), 1.1e-4 - 0.5 * 0.99e-4, 1e-15);
    assert_near(schedule_rate(&apertus, 2627139), 1.1e-5, 1e-15);
    assert_int_equal(schedule_of_model("swiss-ai/Apertus-70B-2509").kind, SCHEDULE_KIND_UNKNOWN);
    struct schedule unknown = {.kind = SCHEDULE_KIND_UNKNOWN};
    const double step = 10;
    struct schedule_sums sums;
    schedule_accumulate(&unknown, &step, 1, &sums);
    assert_true(isnan(sums.rates) && isnan(schedule_rate(&unknown, 1)) &&
                isnan(schedule_floor_step(&unknown)));
}

/* Numbers of checkpoints are steps, where the code that trained the model tells how far they lie apart. */
static void test_clocks(void **state)
{
    (void)state;
    const struct schedule amber = schedule_of_model("IFM/Amber"), k2 = schedule_of_model("LLM360/K2");
    const struct schedule_clock of_amber = schedule_clock_of_model("LLM360/Amber");
    const struct schedule_clock of_k2 = schedule_clock_of_model("LLM360/K2");
    const struct schedule_clock of_pythia = schedule_clock_of_model("EleutherAI/pythia-1b");
    const struct schedule_clock of_tokens = {40000 / 4e12, 0}; /* 40,000 steps until 4T tokens */
    assert_near(schedule_clock_step(&of_amber, 0), 762, 0);    /* after the first chunk */
    assert_near(schedule_clock_step(&of_amber, 359), amber.end_step, 0);
    assert_near(schedule_clock_step(&of_k2, 360), k2.end_step, 0);
    assert_near(schedule_clock_number(&of_k2, k2.end_step), 360, 0);
    assert_near(schedule_clock_number(&of_amber, 2000), 2000 / 762.0 - 1, 1e-12);
    assert_near(schedule_rate(&amber, amber.end_step), 3e-5, 1e-18);
    assert_near(schedule_rate(&k2, 1000), 0.75e-4, 1e-18);
    assert_near(schedule_clock_step(&of_pythia, 143000), 143000, 0);
    for (double step = 0; step <= 40000; step += 1000) {
        assert_near(schedule_clock_step(&of_tokens, step * 1e8), step, 0);
        assert_near(schedule_clock_number(&of_tokens, step), step * 1e8, 0);
    }
}

static void test_sums(void **state)
{
    (void)state;
    const struct schedule linear = {
        .kind = SCHEDULE_KIND_LINEAR, .rate_max = 1, .rate_min = 0, .warmup_steps = 4, .end_step = 8};
    const double steps[] = {0, 1, 4, 8, 20};
    struct schedule_sums sums[5];
    schedule_accumulate(&linear, steps, 5, sums);
    assert_near(sums[0].rates, 0, 0);
    assert_near(sums[1].rates, 0, 0);
    assert_near(sums[2].rates, 0.25 + 0.5 + 0.75, 1e-12);
    assert_near(sums[3].rates, 1.5 + 1 + 0.75 + 0.5 + 0.25, 1e-12);
    assert_near(sums[4].rates, sums[3].rates, 1e-12);
    assert_near(sums[3].rates_squared, 2 * (0.0625 + 0.25 + 0.5625) + 1, 1e-12);
    assert_near(sums[3].decayed_walk, sums[3].rates_squared, 1e-12);
    assert_near(sums[4].kept, 1, 0);
    assert_near(schedule_floor_step(&linear), 8, 0);
}

/* Update by update, as schedule.h defines it. */
static void add_up(const struct schedule *schedule, const double *steps, size_t count,
                   struct schedule_sums *sums)
{
    long double rates = 0, rates_squared = 0, kept = 1, walk = 0, step = 0;
    for (size_t i = 0; i < count; i++) {
        for (; step < (long double)floor(steps[i]); step++) {
            long double rate = schedule_rate(schedule, (double)step),
                        keep = 1 - rate * schedule->weight_decay;
            rates += rate;
            rates_squared += rate * rate;
            kept *= keep;
            walk = walk * keep * keep + rate * rate;
        }
        sums[i] = (struct schedule_sums){.rates = (double)rates,
                                         .rates_squared = (double)rates_squared,
                                         .kept = (double)kept,
                                         .decayed_walk = (double)walk};
    }
}

static void assert_close(double measured, double expected, const char *what, size_t schedule, double step)
{
    double scale = fmax(fabs(expected), 1e-290); /* what has shrunk to nothing counts as nothing */
    if (!(fabs(measured - expected) <= 1e-9 * scale))
        fail_msg("schedule %zu, step %.0f: %s is %.17g, not %.17g", schedule, step, what, measured, expected);
}

static void test_sums_equal_those_over_all_updates(void **state)
{
    (void)state;
    const struct schedule schedules[] = {
        schedule_of_model("EleutherAI/pythia-70m"),
        schedule_of_model("EleutherAI/pythia-12b"),
        {SCHEDULE_KIND_NEOX_COSINE, 1e-3, 0, 1430.5, 143000, 0.1, 0}, /* never at its floor */
        {SCHEDULE_KIND_NEOX_COSINE, 1e-3, 2e-3, 100, 143000, 0.1, 0}, /* a floor above the peak */
        {SCHEDULE_KIND_NEOX_COSINE, 1e-3, 1e-4, 90, 100, 0.1, 0},     /* a descent of ten steps, cut off */
        {SCHEDULE_KIND_COSINE, 3e-4, 3e-5, 2000, 200000.5, 0.1, 0},
        {SCHEDULE_KIND_COSINE, 1, 0, 0, 150000, 0.5, 0}, /* forgets within a few steps */
        {SCHEDULE_KIND_COSINE, 0.02, 0, 17, 150000, 1, 0},
        {SCHEDULE_KIND_NEOX_COSINE, 0.005, 0, 1715, 58616, 68, 0}, /* strong already in the warm-up */
        {SCHEDULE_KIND_LINEAR, 1e-2, 1e-4, 10000, 100000, 0.3, 0},
        {SCHEDULE_KIND_LINEAR, 1e-2, 0, 3, 7, 0, 0},
        {SCHEDULE_KIND_WSD, 1e-3, 0, 1430, 143000, 0.1, 100000},
        {SCHEDULE_KIND_WSD, 1e-3, 1e-4, 0, 120000.5, 0.1, 8.5},
        {SCHEDULE_KIND_WSD, 1e-3, 1e-4, 100, 101, 0.1, 100}, /* falls at once */
        {SCHEDULE_KIND_WSD, 1e-3, 0, 600, 200000, 0.1, 50},  /* not before the end of the warm-up */
        {SCHEDULE_KIND_WSD, 0.5, 0, 0, 200000, 1, 115000},   /* forgets within a few steps */
        {SCHEDULE_KIND_WSD_COSINE, 1e-3, 1e-4, 1430, 143000, 0.1, 100000.5},
        {SCHEDULE_KIND_WSD_SQRT, 1e-3, 0, 1430, 143000, 0.1, 10000.5},
        {SCHEDULE_KIND_WSD_SQRT, 0.5, 0, 0, 200000, 1, 0}, /* forgets within a few steps */
        {SCHEDULE_KIND_WSD_SQRT, 1e-3, 1e-4, 600, 200000, 0.1, 50},
        {SCHEDULE_KIND_WSD_SQRT, 1e-3, 0, 2, 14, 0.1, 5},
        {SCHEDULE_KIND_WSD_EXPONENTIAL, 1e-3, 1e-7, 1430, 143000, 0.1, 20000},
        {SCHEDULE_KIND_CONSTANT, 1e-3, 0, 500, 0, 0.1, 0},
        {SCHEDULE_KIND_CONSTANT, 0.5, 0, 0, 0, 1, 0},
        {SCHEDULE_KIND_CONSTANT, 1e-3, 0, 0, 0, 0, 0},
    };
    const double steps[] = {0,   1,    2,    3,    4,     5,     8,     10.5,   16,     33,     100,   101,
                            512, 1000, 1430, 1431, 10000, 11000, 11001, 115139, 143000, 200001, 300000};
    enum { COUNT = sizeof steps / sizeof steps[0] };
    for (size_t k = 0; k < sizeof schedules / sizeof schedules[0]; k++) {
        struct schedule_sums sums[COUNT], expected[COUNT], alone;
        schedule_accumulate(&schedules[k], steps, COUNT, sums);
        add_up(&schedules[k], steps, COUNT, expected);
        for (size_t i = 0; i < COUNT; i++) {
            assert_close(sums[i].rates, expected[i].rates, "rates", k, steps[i]);
            assert_close(sums[i].rates_squared, expected[i].rates_squared, "rates_squared", k, steps[i]);
            assert_close(sums[i].kept, expected[i].kept, "kept", k, steps[i]);
            assert_close(sums[i].decayed_walk, expected[i].decayed_walk, "decayed_walk", k, steps[i]);
            assert_near(sums[i].rate, schedule_rate(&schedules[k], floor(steps[i])), 0);
        }
        schedule_accumulate(&schedules[k], &steps[COUNT - 1], 1, &alone); /* in one leap */
        assert_close(alone.rates, expected[COUNT - 1].rates, "rates alone", k, steps[COUNT - 1]);
        assert_close(alone.decayed_walk, expected[COUNT - 1].decayed_walk, "walk alone", k, steps[COUNT - 1]);
    }
}

/* Five hundred long runs: with a turn for each update they would take the better part of an hour. */
static void test_long_runs_take_few_turns(void **state)
{
    (void)state;
    const double end = SCHEDULE_STEPS_MAX, beyond = SCHEDULE_STEPS_MAX + 1;
    struct schedule_sums sums;
    for (int i = 0; i < 500; i++) {
        const struct schedule linear = {SCHEDULE_KIND_LINEAR, 1e-3, 0, 0, end, i ? 0.001 : 500, 0};
        schedule_accumulate(&linear, &end, 1, &sums);
        assert_near(sums.rates / (1e-3 * (end + 1) / 2), 1, 1e-12);
        assert_near(sums.rates_squared / (1e-6 * (end + 1) * (2 * end + 1) / (6 * end)), 1, 1e-12);
    }
    const struct schedule constant = {SCHEDULE_KIND_CONSTANT, 1e-3, 0, 0, 0, 1e-5, 0};
    schedule_accumulate(&constant, &end, 1, &sums);
    assert_near(sums.kept / exp(end * log1p(-1e-8)), 1, 1e-12);
    schedule_accumulate(&constant, &beyond, 1, &sums);
    assert_true(isnan(sums.rates));
    const struct schedule absurd = {SCHEDULE_KIND_CONSTANT, 1, 0, 0, 0, 0.6, 0};
    schedule_accumulate(&absurd, &end, 1, &sums);
    assert_true(isnan(sums.kept));
}

static void test_audit(void **state)
{
    (void)state;
    struct audit_point points[20];
    struct audit audit;
    struct audit_options options = audit_options_default();
    struct err err = ERR_INIT;
    const double steps[20] = {0,    1,    2,     512,   1000,  2000,  3000,  4000,  6000,  7000,
                              8000, 9000, 10000, 11000, 12000, 13000, 14000, 15000, 16000, 17000};
    for (size_t i = 0; i < 20; i++)
        points[i] = (struct audit_point){.step = steps[i],
                                         .content = i + 1,
                                         .is_measured = 1,
                                         .msd = 1e-6 * steps[i],
                                         .lag1_msd = i ? 1e-6 * (steps[i] - steps[i - 1]) : 0,
                                         .skip_msd = (double)NAN};
    points[1].content = points[0].content;
    points[5].content = points[19].content;
    points[14].msd *= 5;
    points[14].lag1_msd = points[15].lag1_msd = 0.05;
    points[14].skip_msd = 1e-6 * (steps[15] - steps[13]);
    points[8].not_finite = 0.25;
    points[9].not_finite = 0.5;
    points[9].is_measured = 0; /* nothing is known of its values */
    points[10].lag1_msd = 1e-6 * (steps[10] - steps[8]);
    assert_int_equal(audit_revisions(points, 20, &options, &audit, &err), 0);
    assert_int_equal(audit.finding_count, 5);
    assert_int_equal(audit.distinct, 18);
    assert_near(audit.grid, 1000, 0);
    assert_int_equal(audit.findings[0].kind, AUDIT_KIND_UNCHANGED);
    assert_int_equal(audit.findings[0].index, 1);
    assert_int_equal(audit.findings[1].kind, AUDIT_KIND_MISSING);
    assert_near(audit.findings[1].step, 5000, 0);
    assert_int_equal(audit.findings[2].kind, AUDIT_KIND_NOT_FINITE);
    assert_int_equal(audit.findings[2].index, 8);
    assert_near(audit.findings[2].evidence, 0.25, 0);
    assert_int_equal(audit.findings[3].kind, AUDIT_KIND_OUT_OF_LINE);
    assert_int_equal(audit.findings[3].index, 14);
    assert_true(audit.findings[3].evidence > 1.5);
    assert_int_equal(audit.findings[4].kind, AUDIT_KIND_DUPLICATE);
    assert_int_equal(audit.findings[4].index, 19);
    assert_int_equal(audit.findings[4].other, 5);
    assert_string_equal(audit_kind_name(audit.findings[4].kind), "duplicate");
    assert_string_equal(audit_kind_name(AUDIT_KIND_NOT_FINITE), "not_finite");
    assert_string_equal(audit_kind_name(AUDIT_KIND_REWRITTEN), "rewritten");
    audit_free(&audit);
    assert_int_equal(audit_revisions(points, 0, &options, &audit, &err), 0);
    assert_int_equal(audit.finding_count, 0);
    audit_free(&audit);
    points[3].step = 0;
    assert_int_equal(audit_revisions(points, 20, &options, &audit, &err), ERR_INVALID);
}

static double grid_of(const double *steps, size_t count, size_t *ret_missing)
{
    struct audit_point points[40];
    struct audit_options options = audit_options_default();
    struct audit audit;
    struct err err = ERR_INIT;
    for (size_t i = 0; i < count; i++)
        points[i] = (struct audit_point){
            .step = steps[i], .content = i + 1, .is_measured = 1, .msd = 1, .lag1_msd = 1};
    assert_int_equal(audit_revisions(points, count, &options, &audit, &err), 0);
    double grid = audit.grid;
    *ret_missing = audit.finding_count;
    audit_free(&audit);
    return grid;
}

/* Steps that double, or that stand beside the multiples of their distance, are no grid with holes. */
static void test_audit_of_steps_without_a_grid(void **state)
{
    (void)state;
    const double doubling[9] = {0, 1, 2, 4, 8, 16, 32, 64, 128};
    const double shifted[6] = {500, 1500, 2500, 3500, 4500, 5500};
    const double last[5] = {1000, 2000, 3000, 4000, 143000};
    const double resumed[6] = {100000, 101000, 102000, 104000, 105000, 106000};
    size_t missing = 0;
    assert_true(isnan(grid_of(doubling, 9, &missing)));
    assert_int_equal(missing, 0);
    for (size_t count = 2; count < 9; count++) { /* also while the run is young */
        assert_true(isnan(grid_of(doubling, count, &missing)));
        assert_int_equal(missing, 0);
    }
    assert_true(isnan(grid_of(shifted, 6, &missing)));
    assert_int_equal(missing, 0);
    assert_true(isnan(grid_of(last, 5, &missing)));
    assert_int_equal(missing, 0);
    assert_near(grid_of(resumed, 6, &missing), 1000, 0);
    assert_int_equal(missing, 1);
}

/* A few revisions of a run that starts slowly, moves fast and comes to rest: ln MSD is far from the line
 * between its neighbours, but the path does not come back. */
static void test_audit_of_a_sparse_run(void **state)
{
    (void)state;
    const double walked[5] = {0, 1e-6, 0.015, 0.06, 0.061};
    const double steps[5] = {0, 16, 512, 14000, 143000};
    struct audit_point points[5];
    struct audit_options options = audit_options_default();
    struct audit audit;
    struct err err = ERR_INIT;
    for (size_t i = 0; i < 5; i++)
        points[i] = (struct audit_point){.step = steps[i],
                                         .content = i + 1,
                                         .is_measured = 1,
                                         .msd = walked[i],
                                         .lag1_msd = i ? walked[i] - walked[i - 1] : 0,
                                         .skip_msd = (double)NAN};
    size_t before = 0, after = 0;
    assert_true(audit_is_suspect(points, 5, 2, &options, &before, &after));
    assert_int_equal(before, 1);
    assert_int_equal(after, 3);
    assert_false(audit_is_suspect(points, 5, 0, &options, &before, &after));
    assert_false(audit_is_suspect(points, 5, 4, &options, &before, &after));
    assert_int_equal(audit_revisions(points, 5, &options, &audit, &err), 0);
    assert_int_equal(audit.finding_count, 0); /* not known: no finding */
    audit_free(&audit);
    points[2].skip_msd = walked[3] - walked[1]; /* a random walk's: the ways add up */
    assert_int_equal(audit_revisions(points, 5, &options, &audit, &err), 0);
    assert_int_equal(audit.finding_count, 0);
    audit_free(&audit);
    points[2].skip_msd = 0.4 * (walked[2] - walked[1]); /* there and back */
    assert_int_equal(audit_revisions(points, 5, &options, &audit, &err), 0);
    assert_int_equal(audit.finding_count, 1);
    assert_int_equal(audit.findings[0].kind, AUDIT_KIND_OUT_OF_LINE);
    assert_int_equal(audit.findings[0].index, 2);
    audit_free(&audit);
}

/* A sweep that thins out compares the revisions that it measured: those between hide no wrong one. */
static void test_audit_of_a_thinned_run(void **state)
{
    (void)state;
    struct audit_point points[40];
    struct audit_options options = audit_options_default();
    struct audit audit;
    struct err err = ERR_INIT;
    size_t before = 0, after = 0;
    for (size_t i = 0; i < 40; i++) {
        points[i] = (struct audit_point){
            .step = 1000 * (double)i, .msd = (double)NAN, .lag1_msd = (double)NAN, .skip_msd = (double)NAN};
        if (i % 4)
            continue;
        points[i].content = i + 1;
        points[i].is_measured = 1;
        points[i].msd = 1e-6 * points[i].step;
        points[i].lag1_msd = i ? 4e-3 : 0;
    }
    assert_false(audit_is_suspect(points, 40, 20, &options, &before, &after));
    points[20].msd *= 5;
    points[20].lag1_msd = points[24].lag1_msd = 0.05;
    assert_true(audit_is_suspect(points, 40, 20, &options, &before, &after));
    assert_int_equal(before, 16);
    assert_int_equal(after, 24);
    assert_false(audit_is_suspect(points, 40, 21, &options, &before, &after));
    points[20].skip_msd = 8e-3;
    assert_int_equal(audit_revisions(points, 40, &options, &audit, &err), 0);
    assert_int_equal(audit.finding_count, 1);
    assert_int_equal(audit.findings[0].kind, AUDIT_KIND_OUT_OF_LINE);
    assert_int_equal(audit.findings[0].index, 20);
    audit_free(&audit);
}

static double cpu_seconds_of_audit(const struct audit_point *points, size_t count)
{
    struct audit_options options = audit_options_default();
    struct timespec begin, end;
    struct audit audit;
    struct err err = ERR_INIT;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin), 0);
    assert_int_equal(audit_revisions(points, count, &options, &audit, &err), 0);
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end), 0);
    audit_free(&audit);
    return (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
}

/* What is not measured costs nothing: of as many revisions as there may be, three are. */
static void test_audit_of_a_few_among_many(void **state)
{
    (void)state;
    static struct audit_point points[AUDIT_POINTS_MAX];
    static const size_t measured[] = {1000, 50000, 99000};
    static const double walked[] = {0.01, 0.4, 0.012};
    struct audit_options options = audit_options_default();
    struct audit audit;
    struct err err = ERR_INIT;
    size_t before = 0, after = 0, suspects = 0;
    double few_s = 0;
    for (size_t i = 0; i < AUDIT_POINTS_MAX; i++)
        points[i] = (struct audit_point){
            .step = (double)i, .msd = (double)NAN, .lag1_msd = (double)NAN, .skip_msd = (double)NAN};
    for (size_t i = 0; i < 3; i++) {
        points[measured[i]].is_measured = 1;
        points[measured[i]].msd = walked[i];
        points[measured[i]].lag1_msd = 0.4;
    }
    for (size_t i = 0; i < AUDIT_POINTS_MAX; i++)
        suspects += (size_t)audit_is_suspect(points, AUDIT_POINTS_MAX, i, &options, &before, &after);
    assert_int_equal(suspects, 0); /* no rate around to compare with */
    for (int round = 0; round < 100; round++)
        few_s += cpu_seconds_of_audit(points, AUDIT_POINTS_MAX / 100);
    assert_true(cpu_seconds_of_audit(points, AUDIT_POINTS_MAX) < 10 * few_s); /* 100 times, were it squared */
    points[100].is_measured = 1;
    points[100].msd = 1e-4;
    points[1000].lag1_msd = 1e-3;
    assert_true(audit_is_suspect(points, AUDIT_POINTS_MAX, 50000, &options, &before, &after));
    assert_int_equal(before, 1000);
    assert_int_equal(after, 99000);
    points[50000].skip_msd = 1e-3;
    assert_int_equal(audit_revisions(points, AUDIT_POINTS_MAX, &options, &audit, &err), 0);
    assert_int_equal(audit.finding_count, 1);
    assert_int_equal(audit.findings[0].index, 50000);
    audit_free(&audit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pythia),
        cmocka_unit_test(test_peaks),
        cmocka_unit_test(test_decay),
        cmocka_unit_test(test_cool_downs),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_sums_equal_those_over_all_updates),
        cmocka_unit_test(test_long_runs_take_few_turns),
        cmocka_unit_test(test_audit),
        cmocka_unit_test(test_audit_of_steps_without_a_grid),
        cmocka_unit_test(test_audit_of_a_sparse_run),
        cmocka_unit_test(test_audit_of_a_thinned_run),
        cmocka_unit_test(test_audit_of_a_few_among_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
