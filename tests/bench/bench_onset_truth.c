/*
 * The verdicts on synthetic training runs with known truth: bench_onset_truth [SEEDS]. Prints a table, and
 * exits with 1 if any row is below nine tenths.
 */
#include "tests/bench/training_runs.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const names[RUN_KIND_COUNT] = {
#define X(symbol, name, meaning) [symbol] = (name),
    RUN_KINDS(X)
#undef X
};

static int score_kind(enum run_kind kind, uint64_t seeds, struct cpu_threads *threads,
                      struct statistics_result *result, int *counts, struct err *err)
{
    int code = 0;
    for (uint64_t seed = 0; seed < seeds && !code; seed++) {
        struct run run;
        struct run_score score = {0};
        if (!run_make(&run, kind, seed))
            code = err_set(err, ERR_NO_MEMORY, "no memory for a run");
        if (!code)
            code = run_measure(&run, threads, result, err);
        if (!code)
            code = run_score(&run, &score, err);
        counts[0] += score.is_onset_right;
        counts[1] += score.is_centred_right;
        counts[2] += score.is_control_right;
        counts[3] += score.is_audit_right;
        run_free(&run);
    }
    return code;
}

int main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 50;
    struct statistics_result result = {0};
    struct cpu_threads *threads = NULL;
    struct err err = ERR_INIT;
    int is_bad = 0;
    int code = statistics_result_init(&result, RUN_COLUMNS, &err);
    if (!code)
        code = cpu_threads_new(1, &threads, &err);
    (void)printf("%-14s %6s %12s %12s %12s %12s\n", "run", "seeds", "onset raw", "centred", "control",
                 "audit");
    for (int kind = 0; kind < RUN_KIND_COUNT && !code; kind++) {
        int counts[4] = {0};
        code = score_kind((enum run_kind)kind, seeds, threads, &result, counts, &err);
        (void)printf("%-14s %6" PRIu64 " %12d %12d %12d %12d\n", names[kind], seeds, counts[0], counts[1],
                     counts[2], counts[3]);
        (void)fflush(stdout);
        for (int i = 0; i < 4; i++)
            is_bad |= (double)counts[i] < 0.9 * (double)seeds;
    }
    if (code)
        (void)fprintf(stderr, "%s\n", err.message);
    cpu_threads_free(threads);
    statistics_result_free(&result);
    return code || is_bad;
}
