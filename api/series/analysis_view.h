/*
 * For the two files that render an analysis: analysis_view.c has what was found, analysis_stop.c the
 * recommendation to stop, its cautions, and the controls: what else could explain the picture.
 */
#ifndef BIFURCATED_API_SERIES_ANALYSIS_VIEW_H
#define BIFURCATED_API_SERIES_ANALYSIS_VIEW_H

#include "api/form/json.h"
#include "api/series/run.h"
#include "daemon/analysis/series.h"
#include "daemon/base/step_unit.h"

struct analysis_view {
    struct api_json *json;
    const struct api_run *run;
    const struct series_options *options;
    const struct series *series;
};

/* Appends a text member. */
void __attribute__((format(printf, 3, 4)))
analysis_view_text(struct analysis_view *view, const char *key, const char *format, ...);

/* A step of the run in words, by what its steps count: "step 512", "220B tokens". */
void analysis_view_place(const struct analysis_view *view, double step, char text[STEP_UNIT_TEXT_SIZE]);

/* The same, with the tokens until then where they are known: "step 512 (1.074B tokens)". */
#define ANALYSIS_VIEW_PLACE_SIZE (2 * STEP_UNIT_TEXT_SIZE + 4)
void analysis_view_whole_place(const struct analysis_view *view, double step,
                               char text[ANALYSIS_VIEW_PLACE_SIZE]);

/* The onset that fall and stop speak of, in words. */
const char *analysis_view_onset_words(const struct analysis_view *view);

/* Appends the members "stop" and "controls". */
void analysis_view_stop(struct analysis_view *view);
void analysis_view_controls(struct analysis_view *view);

#endif
