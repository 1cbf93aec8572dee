/*
 * The analysis of a run as JSON: every verdict with what it rests on, and beside them what else could explain
 * the picture.
 */
#ifndef BIFURCATED_API_SERIES_ANALYSIS_H
#define BIFURCATED_API_SERIES_ANALYSIS_H

#include "api/form/json.h"
#include "api/series/run.h"
#include "daemon/analysis/series.h"

/* Where the learning-rate schedule comes from. */
enum api_analysis_source {
    API_ANALYSIS_SOURCE_UNKNOWN,
    API_ANALYSIS_SOURCE_BUILT_IN, /* by the model's name */
    API_ANALYSIS_SOURCE_QUERY
};

/* Names of enum schedule_kind in the query and in answers, in its order: "unknown", "constant", "cosine",
 * "linear", "cosine_neox", "wsd", "wsd_cosine", "wsd_sqrt", "wsd_exponential". */
#define API_ANALYSIS_SCHEDULES 9
extern const char *const api_analysis_schedule_names[API_ANALYSIS_SCHEDULES];

/* Appends the whole answer. `has_points`: with the derived values of each revision. */
void api_analysis_render(struct api_json *json, const struct api_run *run,
                         const struct series_options *options, enum api_analysis_source source,
                         const struct series *series, int has_points);

/* Zeroed: the model's own tensor under its built-in schedule, without points. */
struct api_analysis_options {
    const char *tensor;              /* NULL: the model's own */
    const struct schedule *schedule; /* NULL: the built-in one, if the model has one */
    struct schedule_clock clock;     /* of `schedule` */
    enum api_analysis_source source; /* of `schedule` */
    int has_points;
};

/* Reads the run, analyses it and appends the answer. */
int api_analysis_append(struct store *store, const struct model_row *model,
                        const struct api_analysis_options *asked, struct buf *body, struct err *err);

#endif
