#include "api/series/analysis_view.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_SIZE 600

void analysis_view_text(struct analysis_view *view, const char *key, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    api_json_text(view->json, key, text);
}

void analysis_view_place(const struct analysis_view *view, double step, char text[STEP_UNIT_TEXT_SIZE])
{
    step_unit_write_place(view->run->model.step_unit, step, text);
}

void analysis_view_whole_place(const struct analysis_view *view, double step,
                               char text[ANALYSIS_VIEW_PLACE_SIZE])
{
    char place[STEP_UNIT_TEXT_SIZE], tokens[STEP_UNIT_TEXT_SIZE];
    double seen = api_run_tokens_at(view->run, step);
    analysis_view_place(view, step, place);
    step_unit_write_place(STEP_UNIT_TOKENS, seen, tokens);
    if (view->run->model.step_unit == STEP_UNIT_TOKENS || !(seen > 0))
        (void)snprintf(text, ANALYSIS_VIEW_PLACE_SIZE, "%s", place);
    else
        (void)snprintf(text, ANALYSIS_VIEW_PLACE_SIZE, "%s (%s)", place, tokens);
}

const char *analysis_view_onset_words(const struct analysis_view *view)
{
    return view->series->onset_view == SERIES_VIEW_CENTRED ? "token rows, around column means"
                                                           : "token rows, as stored only";
}

struct meaning {
    unsigned bit;
    const char *text;
};

static const struct meaning controls[] = {
    {SERIES_CONTROL_MEAN_ROW, "the modes are those of the column means: forked as stored, not after each "
                              "column's mean is subtracted"},
    {SERIES_CONTROL_PADDING,
     "the modes are those of the padded rows: forked over all rows, not over the rows "
     "of tokens"},
    {SERIES_CONTROL_SCHEDULE, NULL}, /* by the unit */
    {SERIES_CONTROL_DECAY, "weight decay and a random walk alone reproduce the displacements"},
    {SERIES_CONTROL_RESOLUTION, "some displacements are within the rounding of the stored weights"},
    {SERIES_CONTROL_DUPLICATES, "revisions were left out because they repeat another one's weights"},
    {SERIES_CONTROL_CODES,
     "what looks like a fork may be the grid that the values are stored on: it is too coarse beside their "
     "spread, so that no fork is told there"},
};

static const struct meaning cautions[] = {
    {SERIES_CAUTION_LATE_HARM,
     "perplexity ended above its best by more than it fluctuates: late training made it "
     "worse"},
    {SERIES_CAUTION_NO_ONSET, "the weights did not fork"},
    {SERIES_CAUTION_NO_PERPLEXITY,
     "the price of stopping is not known: no perplexity is, or none there that could be compared with the "
     "end's"},
    {SERIES_CAUTION_SCHEDULE, "rest may be the learning-rate schedule's doing, or the schedule is not known"},
    {SERIES_CAUTION_ONLY_RAW, "only the stored values fork, not those around their column's mean"},
    {SERIES_CAUTION_FIRST_IS_SUSPECT, "the first revision repeats a late one: displacements start from the "
                                      "wrong weights"},
    {SERIES_CAUTION_DIVERGED,
     "training diverged: the revisions from there on are left out, so that all is said "
     "of those before"},
    {SERIES_CAUTION_STILL_FALLING,
     "perplexity went on to fall after the weights had come to rest, by more than it "
     "fluctuates"},
    {SERIES_CAUTION_OPEN_END, "the last revisions are not measured: whether fork and rest last to the end of "
                              "the run is not known"},
};

/* What could not be looked at is null: a control that needs the schedule, or verdicts that are missing. */
static void print_control_state(struct analysis_view *view, const struct meaning *control)
{
    const struct series *series = view->series;
    int is_open = 0;
    if (control->bit == SERIES_CONTROL_SCHEDULE)
        is_open = series->rest_per_step.verdict == SERIES_VERDICT_INSUFFICIENT ||
                  view->options->schedule.kind == SCHEDULE_KIND_UNKNOWN;
    else if (control->bit == SERIES_CONTROL_DECAY)
        is_open = series->decay.verdict == SERIES_VERDICT_INSUFFICIENT;
    else if (control->bit == SERIES_CONTROL_MEAN_ROW || control->bit == SERIES_CONTROL_PADDING ||
             control->bit == SERIES_CONTROL_CODES)
        is_open = series->onsets[SERIES_ROWS_TOKENS][SERIES_VIEW_RAW].verdict == SERIES_VERDICT_INSUFFICIENT;
    if (is_open)
        api_json_null(view->json, "holds");
    else
        api_json_boolean(view->json, "holds", (series->controls & control->bit) != 0);
}

/* "at rest for each token": its steps may be others than the schedule's. */
static void print_schedule_meaning(struct analysis_view *view)
{
    const char *unit = step_unit_name(view->run->model.step_unit);
    analysis_view_text(view, "meaning",
                       "the schedule froze the weights: at rest for each %.*s, not for each unit of learning "
                       "rate",
                       (int)strlen(unit) - 1, unit);
}

void analysis_view_controls(struct analysis_view *view)
{
    api_json_open_array(view->json, "controls");
    for (size_t i = 0; i < sizeof controls / sizeof controls[0]; i++) {
        api_json_open_object(view->json, NULL);
        api_json_text(view->json, "name", series_control_name(controls[i].bit));
        print_control_state(view, &controls[i]);
        if (controls[i].bit == SERIES_CONTROL_SCHEDULE)
            print_schedule_meaning(view);
        else
            api_json_text(view->json, "meaning", controls[i].text);
        api_json_close_object(view->json);
    }
    api_json_close_array(view->json);
}

static void print_stop_reason(struct analysis_view *view)
{
    const struct series *series = view->series;
    const struct series_stop *stop = &series->stop;
    char place[ANALYSIS_VIEW_PLACE_SIZE];
    analysis_view_whole_place(view, stop->step, place);
    if (stop->verdict == SERIES_VERDICT_YES)
        analysis_view_text(
            view, "reason",
            "forked for good (%s) and at rest from %s on; the %s after it are %.0f %% of the %s",
            analysis_view_onset_words(view), place, step_unit_name(view->run->model.step_unit),
            100 * stop->saved, stop->cautions & SERIES_CAUTION_OPEN_END ? "part that is measured" : "run");
    else if (stop->verdict == SERIES_VERDICT_NO)
        analysis_view_text(view, "reason", "%s",
                           stop->cautions & SERIES_CAUTION_NO_ONSET ? "the weights did not fork"
                           : stop->cautions & SERIES_CAUTION_STILL_FALLING
                               ? "forked for good and at rest, but perplexity was still falling"
                               : "the weights did not stay forked, or did not come to rest after it");
    else
        analysis_view_text(view, "reason",
                           "not enough measured revisions to tell whether the weights forked and "
                           "came to rest");
}

void analysis_view_stop(struct analysis_view *view)
{
    const struct series_stop *stop = &view->series->stop;
    api_json_open_object(view->json, "stop");
    api_json_text(view->json, "verdict", series_verdict_name(stop->verdict));
    api_json_real(view->json, "step", stop->step);
    api_json_real(view->json, "tokens", api_run_tokens_at(view->run, stop->step));
    api_json_real(view->json, "saved", stop->saved);
    api_json_real(view->json, "perplexity", stop->perplexity);
    api_json_real(view->json, "perplexity_step", stop->perplexity_step);
    api_json_real(view->json, "perplexity_end", stop->perplexity_end);
    api_json_real(view->json, "perplexity_best", stop->perplexity_best);
    api_json_real(view->json, "perplexity_best_step", stop->perplexity_best_step);
    api_json_real(view->json, "given_up", stop->given_up);
    api_json_real(view->json, "perplexity_fluctuation", stop->fluctuation);
    print_stop_reason(view);
    api_json_open_array(view->json, "cautions");
    for (size_t i = 0; i < sizeof cautions / sizeof cautions[0]; i++) {
        if (!(stop->cautions & cautions[i].bit))
            continue;
        api_json_open_object(view->json, NULL);
        api_json_text(view->json, "name", series_caution_name(cautions[i].bit));
        api_json_text(view->json, "meaning", cautions[i].text);
        api_json_close_object(view->json);
    }
    api_json_close_array(view->json);
    api_json_close_object(view->json);
}
