#include "api/series/analysis_view.h"
#include "api/series/analysis.h"

#include <math.h>
#include <stdio.h>

const char *const api_analysis_schedule_names[API_ANALYSIS_SCHEDULES] = {
    [SCHEDULE_KIND_UNKNOWN] = "unknown",
    [SCHEDULE_KIND_CONSTANT] = "constant",
    [SCHEDULE_KIND_COSINE] = "cosine",
    [SCHEDULE_KIND_LINEAR] = "linear",
    [SCHEDULE_KIND_NEOX_COSINE] = "cosine_neox",
    [SCHEDULE_KIND_WSD] = "wsd",
    [SCHEDULE_KIND_WSD_COSINE] = "wsd_cosine",
    [SCHEDULE_KIND_WSD_SQRT] = "wsd_sqrt",
    [SCHEDULE_KIND_WSD_EXPONENTIAL] = "wsd_exponential",
};

static const char *unknown_schedule(const struct analysis_view *view)
{
    return view->run->model.step_unit == STEP_UNIT_STEPS
               ? "unknown schedule"
               : "unknown schedule, or how many optimiser steps it takes";
}

/* Where the run is at a step of the schedule, in its own unit; 0 of what there is not. */
static double number_of(const struct analysis_view *view, double step)
{
    return step > 0 ? schedule_clock_number(&view->options->clock, step) : 0;
}

static void print_note(struct analysis_view *view)
{
    const char *unit = step_unit_name(view->run->model.step_unit);
    const int is_of_steps = view->run->model.step_unit == STEP_UNIT_STEPS;
    if (view->options->schedule.kind != SCHEDULE_KIND_UNKNOWN && is_of_steps)
        api_json_text(view->json, "note", NULL);
    else if (view->options->schedule.kind != SCHEDULE_KIND_UNKNOWN)
        analysis_view_text(view, "note", "warmup, stable and total are in %s", unit);
    else if (is_of_steps)
        api_json_text(view->json, "note",
                      "unknown schedule: whatever compares with the learning rate is left out; name it with "
                      "schedule, peak, floor, warmup, stable, total and decay");
    else
        analysis_view_text(view, "note",
                           "unknown schedule: whatever compares with the learning rate is left out; name it "
                           "with schedule, peak, floor, decay, warmup, stable and total, these three in %s, "
                           "and steps, how many optimiser steps there are until total",
                           unit);
}

static void print_schedule(struct analysis_view *view, enum api_analysis_source source)
{
    static const char *const sources[] = {"unknown", "built_in", "query"};
    const struct schedule *schedule = &view->options->schedule;
    int is_known = schedule->kind != SCHEDULE_KIND_UNKNOWN;
    double none = (double)NAN;
    api_json_open_object(view->json, "schedule");
    api_json_text(view->json, "kind", api_analysis_schedule_names[schedule->kind]);
    api_json_text(view->json, "source", sources[source]);
    api_json_real(view->json, "peak", is_known ? schedule->rate_max : none);
    api_json_real(view->json, "floor", is_known ? schedule->rate_min : none);
    api_json_real(view->json, "warmup", is_known ? number_of(view, schedule->warmup_steps) : none);
    api_json_real(view->json, "stable",
                  schedule_has_stable(schedule->kind) ? number_of(view, schedule->stable_until) : none);
    api_json_real(view->json, "total", is_known ? number_of(view, schedule->end_step) : none);
    api_json_real(view->json, "steps", is_known && schedule->end_step > 0 ? schedule->end_step : none);
    api_json_real(view->json, "decay", is_known ? schedule->weight_decay : none);
    print_note(view);
    api_json_close_object(view->json);
}

/* What of an onset's revisions could not be told. */
static void write_doubts(const struct series_onset *onset, double spacing_max, char *text, size_t size)
{
    char coarse[120] = "";
    if (onset->count_coarse)
        (void)snprintf(coarse, sizeof coarse,
                       "; %zu more would be, if their codes were not %g of a deviation apart or farther",
                       onset->count_coarse, spacing_max);
    if (onset->count_hidden)
        (void)snprintf(text, size,
                       "; %zu %s dip and valley of a fork, but neither two normals apart nor a second mode "
                       "of 5 %% of the values, or modes that were never counted (bifurcated recompute)%s",
                       onset->count_hidden, onset->count_hidden == 1 ? "revision has" : "revisions have",
                       coarse);
    else
        (void)snprintf(text, size, "%s", coarse);
}

static void print_onset_reason(struct analysis_view *view, const struct series_onset *onset)
{
    const struct series_options *options = view->options;
    char doubts[360], modes[40] = "", end[120] = "", place[ANALYSIS_VIEW_PLACE_SIZE];
    write_doubts(onset, options->spacing_max, doubts, sizeof doubts);
    if (onset->modes > 0)
        (void)snprintf(modes, sizeof modes, ", modes: %.0f", onset->modes);
    if (!onset->is_lasting)
        (void)snprintf(end, sizeof end, ", but not all to the end");
    else if (!isnan(onset->step_lost)) {
        char lasting[STEP_UNIT_TEXT_SIZE];
        analysis_view_place(view, onset->step_lasting, lasting);
        (void)snprintf(end, sizeof end, ", for good only from %s on", lasting);
    }
    analysis_view_whole_place(view, onset->step, place);
    if (onset->verdict == SERIES_VERDICT_INSUFFICIENT)
        analysis_view_text(view, "reason", "%zu measured revisions with weights of their own; %d are needed",
                           view->series->counted, options->points_min);
    else if (onset->verdict != SERIES_VERDICT_YES)
        analysis_view_text(
            view, "reason",
            "no %d revisions in a row have a dip of at least %g, a valley of at most %g of the lower peak, "
            "and Ashman's D of at least %g or %g modes, together%s",
            options->consecutive, options->dip_on, options->valley_on, options->ashman_on, options->modes_on,
            doubts);
    else
        analysis_view_text(view, "reason",
                           "from %s on, dip %.3g, a valley of %.3g of the lower peak, Ashman's D %.3g%s; "
                           "%zu revisions are forked%s%s",
                           place, onset->dip, onset->valley_to_peak, onset->ashman_d, modes,
                           onset->count_forked, end, doubts);
}

static void print_onset(struct analysis_view *view, int rows, int which)
{
    const struct series_onset *onset = &view->series->onsets[rows][which];
    int is_found = onset->verdict == SERIES_VERDICT_YES;
    double none = (double)NAN;
    api_json_open_object(view->json, NULL);
    api_json_text(view->json, "rows", rows ? "tokens" : "all");
    api_json_text(view->json, "view", which ? "centred" : "raw");
    api_json_text(view->json, "verdict", series_verdict_name(onset->verdict));
    api_json_text(view->json, "revision", is_found ? view->run->points[onset->index].name : NULL);
    api_json_real(view->json, "step", is_found ? onset->step : none);
    api_json_real(view->json, "step_before", is_found ? onset->step_before : none);
    api_json_real(view->json, "tokens", is_found ? api_run_tokens_at(view->run, onset->step) : none);
    api_json_real(view->json, "tokens_before",
                  is_found ? api_run_tokens_at(view->run, onset->step_before) : none);
    api_json_real(view->json, "dip", is_found ? onset->dip : none);
    api_json_real(view->json, "ashman_d", is_found ? onset->ashman_d : none);
    api_json_real(view->json, "valley_to_peak", is_found ? onset->valley_to_peak : none);
    api_json_real(view->json, "modes", is_found ? onset->modes : none);
    api_json_boolean(view->json, "is_lasting", is_found && onset->is_lasting);
    api_json_real(view->json, "step_lost", is_found ? onset->step_lost : none);
    api_json_real(view->json, "step_lasting", is_found ? onset->step_lasting : none);
    api_json_integer(view->json, "revisions_forked", (int64_t)onset->count_forked);
    api_json_integer(view->json, "revisions_hidden", (int64_t)onset->count_hidden);
    api_json_integer(view->json, "revisions_coarse", (int64_t)onset->count_coarse);
    print_onset_reason(view, onset);
    api_json_close_object(view->json);
}

static void print_divergence(struct analysis_view *view)
{
    const struct series_divergence *divergence = &view->series->divergence;
    char place[STEP_UNIT_TEXT_SIZE];
    analysis_view_place(view, divergence->step, place);
    api_json_open_object(view->json, "divergence");
    api_json_text(view->json, "verdict",
                  series_verdict_name(divergence->is_found  ? SERIES_VERDICT_YES
                                      : view->run->measured ? SERIES_VERDICT_NO
                                                            : SERIES_VERDICT_INSUFFICIENT));
    api_json_text(view->json, "revision",
                  divergence->is_found ? view->run->points[divergence->index].name : NULL);
    api_json_real(view->json, "step", divergence->step);
    if (divergence->is_found)
        analysis_view_text(
            view, "reason",
            "from %s to the last measured revision, values are NaN or Inf, or their root mean square "
            "is more than %g and more than %g times its lower quartile over the run; these revisions count "
            "for nothing else",
            place, view->options->diverged_size, view->options->diverged_growth);
    else
        analysis_view_text(view, "reason", "%s",
                           view->run->measured
                               ? "the values of the last measured revision are finite and of usual size"
                               : "no revision is measured");
    api_json_close_object(view->json);
}

static void print_fall_reason(struct analysis_view *view)
{
    const struct series_fall *fall = &view->series->fall;
    size_t count = view->run->perplexities, apart = view->run->perplexities_apart;
    char others[160] = "", from[STEP_UNIT_TEXT_SIZE], to[STEP_UNIT_TEXT_SIZE];
    const char *unit = step_unit_name(view->run->model.step_unit);
    analysis_view_place(view, fall->step_from, from);
    analysis_view_place(view, fall->step_to, to);
    if (apart)
        (void)snprintf(others, sizeof others,
                       "; left out: %zu of other texts or another limit, which a sweep of all with the same "
                       "makes comparable",
                       apart);
    if (fall->verdict == SERIES_VERDICT_INSUFFICIENT)
        analysis_view_text(view, "reason",
                           "%zu revisions with a perplexity; 3 with weights of their own are needed%s", count,
                           others);
    else if (fall->verdict != SERIES_VERDICT_YES)
        analysis_view_text(view, "reason",
                           "perplexity nowhere falls by more than 5 %% and three standard errors of how it "
                           "fluctuates%s",
                           others);
    else if (isnan(fall->ln_ratio_to_onset))
        analysis_view_text(
            view, "reason",
            "from %s to %s, where ln perplexity falls by %.3g for each unit of ln %s; there is no onset to "
            "compare with%s",
            from, to, fall->slope, unit, others);
    else
        analysis_view_text(
            view, "reason",
            "from %s to %s, where ln perplexity falls by %.3g for each unit of ln %s; that is %.2g times as "
            "far into the run as the onset (%s)%s",
            from, to, fall->slope, unit, exp(fall->ln_ratio_to_onset), analysis_view_onset_words(view),
            others);
}

static void print_fall(struct analysis_view *view)
{
    const struct series_fall *fall = &view->series->fall;
    const struct api_run *run = view->run;
    int is_found = fall->verdict == SERIES_VERDICT_YES;
    api_json_open_object(view->json, "perplexity_fall");
    api_json_text(view->json, "verdict", series_verdict_name(fall->verdict));
    api_json_text(view->json, "mode", run->perplexities ? perplexity_mode_name(run->perplexity_mode) : NULL);
    api_json_integer(view->json, "revisions", (int64_t)run->perplexities);
    api_json_integer(view->json, "revisions_of_other_texts", (int64_t)run->perplexities_apart);
    api_json_real(view->json, "step_from", is_found ? fall->step_from : (double)NAN);
    api_json_real(view->json, "step_to", is_found ? fall->step_to : (double)NAN);
    api_json_real(view->json, "slope", fall->slope);
    api_json_real(view->json, "ln_ratio_to_onset", fall->ln_ratio_to_onset);
    api_json_boolean(view->json, "is_beside_onset", fall->is_beside_onset);
    print_fall_reason(view);
    api_json_close_object(view->json);
}

static void print_rest(struct analysis_view *view, const char *key, const struct series_rest *rest,
                       int needs_schedule)
{
    const struct series_options *options = view->options;
    char place[STEP_UNIT_TEXT_SIZE];
    analysis_view_place(view, rest->step, place);
    api_json_open_object(view->json, key);
    api_json_text(view->json, "verdict", series_verdict_name(rest->verdict));
    api_json_real(view->json, "step", rest->step);
    api_json_real(view->json, "reference", rest->reference);
    if (needs_schedule && options->schedule.kind == SCHEDULE_KIND_UNKNOWN)
        analysis_view_text(view, "reason", "%s", unknown_schedule(view));
    else if (rest->verdict == SERIES_VERDICT_INSUFFICIENT)
        analysis_view_text(view, "reason", "under %d displacements between neighbours%s",
                           options->rest_points + options->points_min,
                           options->schedule.warmup_steps > 0 ? " after the warm-up" : "");
    else if (rest->verdict == SERIES_VERDICT_NO)
        analysis_view_text(
            view, "reason",
            "displacement between neighbours never stays below %g of its median before, to the end",
            options->rest_share);
    else
        analysis_view_text(view, "reason",
                           "displacement between neighbours stays below %g of its median before, from %s on",
                           options->rest_share, place);
    api_json_close_object(view->json);
}

static void print_decay(struct analysis_view *view)
{
    const struct series_decay *decay = &view->series->decay;
    api_json_open_object(view->json, "decay");
    api_json_text(view->json, "verdict", series_verdict_name(decay->verdict));
    api_json_real(view->json, "log_error", decay->log_error);
    api_json_real(view->json, "lag1_log_error", decay->lag1_log_error);
    api_json_real(view->json, "walk", decay->walk);
    api_json_real(view->json, "efold_step", decay->efold_step);
    api_json_text(
        view->json, "reason",
        view->options->schedule.kind == SCHEDULE_KIND_UNKNOWN ? unknown_schedule(view)
        : decay->verdict == SERIES_VERDICT_INSUFFICIENT && view->run->reference[0] &&
                isinf(view->run->reference_step)
            ? "displacements are against a revision without a step"
        : decay->verdict == SERIES_VERDICT_INSUFFICIENT && view->options->schedule.warmup_steps > 0
            ? "too few revisions after the warm-up"
        : decay->verdict == SERIES_VERDICT_INSUFFICIENT ? "too few revisions"
        : decay->verdict == SERIES_VERDICT_YES
            ? "weight decay and a random walk alone reproduce the displacements"
        : decay->log_error <= view->options->null_tolerance
            ? "weight decay and a random walk alone reproduce the mean square displacement, but not "
              "the displacements between neighbours"
            : "weight decay and a random walk alone do not reproduce the mean square displacement");
    api_json_close_object(view->json);
}

static void print_thresholds(struct analysis_view *view)
{
    const struct series_options *options = view->options;
    api_json_open_object(view->json, "thresholds");
#define REAL(name) api_json_real(view->json, #name, options->name);
#define INTEGER(name) api_json_integer(view->json, #name, options->name);
    REAL(dip_on)
    REAL(dip_off)
    REAL(dip_sqrt_n_on)
    REAL(valley_on)
    REAL(valley_off)
    REAL(ashman_on)
    REAL(weight_min)
    REAL(modes_on)
    REAL(spacing_max)
    INTEGER(consecutive)
    INTEGER(points_min)
    REAL(rest_share)
    REAL(rest_moved_share)
    INTEGER(rest_points)
    INTEGER(alpha_reach)
    REAL(fall_factor)
    REAL(late_harm)
    REAL(late_harm_errors)
    REAL(diverged_growth)
    REAL(diverged_size)
    REAL(null_tolerance)
    REAL(null_lag1_tolerance)
#undef REAL
#undef INTEGER
    api_json_close_object(view->json);
}

static void print_point(struct analysis_view *view, size_t at)
{
    const struct series_derived *derived = &view->series->derived[at];
    const struct series_point *point = &view->run->series[at];
    api_json_open_object(view->json, NULL);
    api_json_text(view->json, "revision", view->run->points[at].name);
    api_json_integer(view->json, "step", view->run->points[at].step);
    api_json_real(view->json, "tokens", view->run->points[at].tokens);
    api_json_boolean(view->json, "is_counted", derived->is_counted);
    api_json_boolean(view->json, "is_forked", derived->is_forked[0][0]);
    api_json_boolean(view->json, "tokens_is_forked", derived->is_forked[1][0]);
    api_json_boolean(view->json, "centred_is_forked", derived->is_forked[0][1]);
    api_json_boolean(view->json, "tokens_centred_is_forked", derived->is_forked[1][1]);
    api_json_real(view->json, "msd", point->msd[SERIES_ROWS_TOKENS]);
    api_json_real(view->json, "lag1_msd", point->lag1_msd[SERIES_ROWS_TOKENS]);
    api_json_real(view->json, "alpha", derived->alpha);
    api_json_real(view->json, "rate_per_step", derived->rate_per_step);
    api_json_real(view->json, "rate_per_lr", derived->rate_per_lr);
    api_json_real(view->json, "rate_per_lr_squared", derived->rate_per_lr_squared);
    api_json_real(view->json, "msd_per_lr", derived->msd_per_lr);
    api_json_real(view->json, "lr", derived->lr);
    api_json_real(view->json, "lr_sum", derived->lr_sum);
    api_json_real(view->json, "msd_null", derived->msd_null);
    api_json_real(view->json, "resolution", derived->resolution);
    api_json_boolean(view->json, "is_unresolved", derived->is_unresolved);
    api_json_real(view->json, "perplexity", point->perplexity);
    api_json_open_array(view->json, "other_texts");
    for (int mode = 0; mode < PERPLEXITY_MODE_COUNT; mode++) {
        if (view->run->points[at].other_texts >> mode & 1U)
            api_json_text(view->json, NULL, perplexity_mode_name((enum perplexity_mode)mode));
    }
    api_json_close_array(view->json);
    api_json_close_object(view->json);
}

void api_analysis_render(struct api_json *json, const struct api_run *run,
                         const struct series_options *options, enum api_analysis_source source,
                         const struct series *series, int has_points)
{
    struct analysis_view view = {json, run, options, series};
    api_json_open_object(json, NULL);
    api_json_text(json, "model", run->model.name);
    api_json_text_or_null(json, "tensor", run->tensor);
    api_json_integer(json, "definition", SERIES_DEFINITION);
    api_json_text(json, "step_unit", step_unit_name(run->model.step_unit));
    api_json_text_or_null(json, "reference", run->reference);
    api_json_integer(json, "revisions_known", (int64_t)run->count);
    api_json_integer(json, "revisions_measured", (int64_t)run->measured);
    api_json_integer(json, "revisions_counted", (int64_t)series->counted);
    api_json_integer(json, "revisions_left_out", (int64_t)run->left_out);
    api_json_integer(json, "revisions_of_other_references", (int64_t)run->references_apart);
    print_schedule(&view, source);
    api_json_open_array(json, "onsets");
    for (int rows = SERIES_ROWS_COUNT - 1; rows >= 0; rows--) {
        for (int which = 0; which < SERIES_VIEW_COUNT; which++)
            print_onset(&view, rows, which);
    }
    api_json_close_array(json);
    api_json_text(json, "onset_view", series->onset_view == SERIES_VIEW_CENTRED ? "centred" : "raw");
    print_divergence(&view);
    print_fall(&view);
    api_json_open_object(json, "rest");
    print_rest(&view, "per_step", &series->rest_per_step, 0);
    print_rest(&view, "per_lr", &series->rest_per_lr, 1);
    print_rest(&view, "per_lr_squared", &series->rest_per_lr_squared, 1);
    api_json_close_object(json);
    print_decay(&view);
    analysis_view_stop(&view);
    analysis_view_controls(&view);
    print_thresholds(&view);
    if (has_points) {
        api_json_open_array(json, "revisions");
        for (size_t i = 0; i < run->count; i++)
            print_point(&view, i);
        api_json_close_array(json);
    }
    api_json_close_object(json);
}
