/*
 * Reads training runs and scaling laws from standard input, one line of JSON for each on standard output:
 *   series COUNT KIND PEAK FLOOR WARMUP TOTAL DECAY STABLE, then for each point
 *     STEP CONTENT IS_MEASURED NOT_FINITE PRECISION, four shapes (all raw, all centred, tokens raw, tokens
 *     centred) of MEAN VARIANCE LOW HIGH DIP DIP_SQRT_N WEIGHT ASHMAN VALLEY MODES, then MSD LAG1_MSD of
 *     token rows and PERPLEXITY
 *   audit COUNT, then STEP CONTENT IS_MEASURED NOT_FINITE MSD LAG1_MSD SKIP_MSD for each point
 *   scaling COUNT, then PARAMETERS BEFORE VALUE for each point
 * KIND is a number of enum schedule_kind, PRECISION of enum series_precision; numbers may be nan.
 */
#include "daemon/analysis/audit.h"
#include "daemon/analysis/scaling.h"
#include "daemon/analysis/series.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 100000

static double read_number(void)
{
    char word[64];
    if (scanf("%63s", word) != 1) {
        (void)fprintf(stderr, "a number is missing\n");
        exit(1);
    }
    return strtod(word, NULL);
}

static void print_number(const char *name, double value, const char *end)
{
    if (isfinite(value))
        (void)printf("\"%s\": %.17g%s", name, value, end);
    else
        (void)printf("\"%s\": null%s", name, end);
}

static void read_point(struct series_point *point)
{
    *point = (struct series_point){.step = read_number(),
                                   .content = (uint64_t)read_number(),
                                   .is_measured = read_number() > 0,
                                   .not_finite = read_number(),
                                   .precision = (enum series_precision)read_number(),
                                   .perplexity_stderr = (double)NAN};
    for (int rows = 0; rows < SERIES_ROWS_COUNT; rows++) {
        for (int view = 0; view < SERIES_VIEW_COUNT; view++) {
            struct series_shape *shape = &point->shapes[rows][view];
            double *const numbers[] = {&shape->mean,           &shape->variance, &shape->low,
                                       &shape->high,           &shape->dip,      &shape->dip_sqrt_n,
                                       &shape->mixture_weight, &shape->ashman_d, &shape->valley_to_peak,
                                       &shape->modes};
            for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
                *numbers[i] = read_number();
        }
    }
    point->msd[SERIES_ROWS_TOKENS] = read_number();
    point->lag1_msd[SERIES_ROWS_TOKENS] = read_number();
    point->msd[SERIES_ROWS_ALL] = 7 * point->msd[SERIES_ROWS_TOKENS]; /* no verdict is of these */
    point->lag1_msd[SERIES_ROWS_ALL] = 7 * point->lag1_msd[SERIES_ROWS_TOKENS];
    point->perplexity = read_number();
}

static void print_onset(const struct series_onset *onset, const char *end)
{
    int is_found = onset->verdict == SERIES_VERDICT_YES;
    (void)printf("{\"verdict\": \"%s\", ", series_verdict_name(onset->verdict));
    print_number("step", onset->step, ", ");
    print_number("step_before", onset->step_before, ", ");
    print_number("step_lost", onset->step_lost, ", ");
    print_number("step_lasting", onset->step_lasting, ", ");
    (void)printf("\"is_lasting\": %d, \"forked\": %zu, \"hidden\": %zu, \"coarse\": %zu}%s",
                 is_found && onset->is_lasting, onset->count_forked, onset->count_hidden, onset->count_coarse,
                 end);
}

static void print_rest(const struct series_rest *rest, const char *end)
{
    (void)printf("{\"verdict\": \"%s\", ", series_verdict_name(rest->verdict));
    print_number("step", rest->step, ", ");
    print_number("reference", rest->reference, "}");
    (void)printf("%s", end);
}

static void print_verdicts(const struct series *series)
{
    (void)printf("\"counted\": %zu, ", series->counted);
    print_number("diverged", series->divergence.step, ", \"onsets\": [");
    for (int i = 0; i < 4; i++)
        print_onset(&series->onsets[i / 2][i % 2], i < 3 ? ", " : "], \"rest\": [");
    print_rest(&series->rest_per_step, ", ");
    print_rest(&series->rest_per_lr, ", ");
    print_rest(&series->rest_per_lr_squared, "], ");
    (void)printf("\"fall\": {\"verdict\": \"%s\", ", series_verdict_name(series->fall.verdict));
    print_number("step_from", series->fall.step_from, ", ");
    print_number("step_to", series->fall.step_to, ", ");
    print_number("slope", series->fall.slope, ", ");
    print_number("ln_ratio_to_onset", series->fall.ln_ratio_to_onset, ", ");
    (void)printf("\"is_beside_onset\": %d}, ", series->fall.is_beside_onset);
    (void)printf("\"decay\": {\"verdict\": \"%s\", ", series_verdict_name(series->decay.verdict));
    print_number("log_error", series->decay.log_error, ", ");
    print_number("lag1_log_error", series->decay.lag1_log_error, ", ");
    print_number("efold_step", series->decay.efold_step, ", ");
    print_number("walk", series->decay.walk, "}, ");
    (void)printf("\"stop\": {\"verdict\": \"%s\", \"cautions\": %u, ",
                 series_verdict_name(series->stop.verdict), series->stop.cautions);
    print_number("step", series->stop.step, ", ");
    print_number("saved", series->stop.saved, ", ");
    print_number("given_up", series->stop.given_up, ", ");
    print_number("fluctuation", series->stop.fluctuation, ", ");
    print_number("perplexity", series->stop.perplexity, ", ");
    print_number("perplexity_step", series->stop.perplexity_step, ", ");
    print_number("perplexity_best", series->stop.perplexity_best, ", ");
    print_number("perplexity_best_step", series->stop.perplexity_best_step, ", ");
    print_number("perplexity_end", series->stop.perplexity_end, "}, ");
    (void)printf("\"controls\": %u, \"onset_view\": %d, ", series->controls, (int)series->onset_view);
}

static void print_derived(const struct series_derived *derived, const char *end)
{
    (void)printf("{\"is_counted\": %d, \"is_unresolved\": %d, ", derived->is_counted, derived->is_unresolved);
    print_number("alpha", derived->alpha, ", ");
    print_number("lag1_steps", derived->lag1_steps, ", ");
    print_number("rate_per_step", derived->rate_per_step, ", ");
    print_number("rate_per_lr", derived->rate_per_lr, ", ");
    print_number("rate_per_lr_squared", derived->rate_per_lr_squared, ", ");
    print_number("msd_per_lr", derived->msd_per_lr, ", ");
    print_number("msd_null", derived->msd_null, ", ");
    print_number("resolution", derived->resolution, "}");
    (void)printf("%s", end);
}

static int analyze(size_t count, struct err *err)
{
    struct series_options options = series_options_default();
    options.schedule.kind = (enum schedule_kind)read_number();
    double *const numbers[] = {&options.schedule.rate_max,     &options.schedule.rate_min,
                               &options.schedule.warmup_steps, &options.schedule.end_step,
                               &options.schedule.weight_decay, &options.schedule.stable_until};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        *numbers[i] = read_number();
    struct series_point *points = calloc(count, sizeof *points);
    struct series series;
    if (!points)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu points", count);
    for (size_t i = 0; i < count; i++)
        read_point(&points[i]);
    options.reference_step = points[0].step;
    int code = series_analyze(points, count, &options, &series, err);
    if (!code) {
        (void)printf("{");
        print_verdicts(&series);
        (void)printf("\"derived\": [");
        for (size_t i = 0; i < count; i++)
            print_derived(&series.derived[i], i + 1 < count ? ", " : "]}\n");
        series_free(&series);
    }
    free(points);
    return code;
}

static int check(size_t count, struct err *err)
{
    struct audit_options options = audit_options_default();
    struct audit_point *points = calloc(count, sizeof *points);
    struct audit audit;
    if (!points)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu points", count);
    for (size_t i = 0; i < count; i++) {
        points[i].step = read_number();
        points[i].content = (uint64_t)read_number();
        points[i].is_measured = read_number() > 0;
        points[i].not_finite = read_number();
        points[i].msd = read_number();
        points[i].lag1_msd = read_number();
        points[i].skip_msd = read_number();
    }
    int code = audit_revisions(points, count, &options, &audit, err);
    if (!code) {
        (void)printf("{\"distinct\": %zu, ", audit.distinct);
        print_number("grid", audit.grid, ", \"findings\": [");
        for (size_t i = 0; i < audit.finding_count; i++) {
            const struct audit_finding *finding = &audit.findings[i];
            (void)printf("%s{\"kind\": \"%s\", \"index\": %zu, \"other\": %zu, ", i ? ", " : "",
                         audit_kind_name(finding->kind), finding->index, finding->other);
            print_number("step", finding->step, ", ");
            print_number("evidence", finding->evidence, "}");
        }
        (void)printf("]}\n");
        audit_free(&audit);
    }
    free(points);
    return code;
}

static int fit(size_t count, struct err *err)
{
    struct scaling_point *points = calloc(count, sizeof *points);
    struct scaling scaling;
    if (!points)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu points", count);
    for (size_t i = 0; i < count; i++) {
        points[i].parameters = read_number();
        points[i].before = read_number();
        points[i].value = read_number();
    }
    int code = scaling_fit(points, count, &scaling, err);
    if (code == ERR_UNSUPPORTED) {
        (void)printf("{\"reason\": \"%s\", ", err->message);
        *err = (struct err)ERR_INIT;
        code = 0;
    } else {
        (void)printf("{\"reason\": null, ");
    }
    (void)printf("\"count\": %zu, \"sizes\": %zu, \"unforked\": %zu, ", scaling.count, scaling.sizes,
                 scaling.unforked);
    print_number("exponent", scaling.exponent, ", ");
    print_number("low", scaling.exponent_low, ", ");
    print_number("high", scaling.exponent_high, ", ");
    print_number("prefactor", scaling.prefactor, ", ");
    print_number("deviation", scaling.deviation, "}\n");
    free(points);
    return code;
}

int main(void)
{
    struct err err = ERR_INIT;
    char what[16];
    int code = 0;
    while (!code && scanf("%15s", what) == 1) {
        double count = read_number();
        if (!(count >= 1 && count <= COUNT_MAX))
            code = err_set(&err, ERR_INVALID, "1 to %d points at a time", COUNT_MAX);
        else if (strcmp(what, "series") == 0)
            code = analyze((size_t)count, &err);
        else if (strcmp(what, "audit") == 0)
            code = check((size_t)count, &err);
        else if (strcmp(what, "scaling") == 0)
            code = fit((size_t)count, &err);
        else
            code = err_set(&err, ERR_INVALID, "%s: series, audit or scaling", what);
    }
    if (code)
        (void)fprintf(stderr, "%s\n", err.message);
    return code ? 1 : 0;
}
