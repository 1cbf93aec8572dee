/*
 * A figure of several training runs as SVG: a panel for each quantity, and in it a line for each model, over
 * one axis of steps or of tokens of training. Rings mark where a run forked.
 *
 * A pure function: equal documents give equal bytes.
 */
#ifndef BIFURCATED_API_CLIENT_PLOT_COMPARE_H
#define BIFURCATED_API_CLIENT_PLOT_COMPARE_H

#include "api/client/plot.h"
#include "api/client/plot_looks.h"
#include "daemon/base/step_unit.h"

struct plot_compare_source {
    size_t count;                   /* of models, at most PLOT_MODELS_MAX */
    const char *const *names;       /* as the daemon has them */
    const struct plot_source *runs; /* series with plot_compare_columns(); no distribution is needed */
};

/* The columns of the series that such a figure needs, for `fields`. */
void plot_compare_columns(const struct plot_options *options, struct buf *columns);

/*
 * Appends the SVG document. `unit` of the axis; STEP_UNIT_COUNT: that of the models' names where it is one,
 * else tokens. ERR_INVALID: the panels name the heat map, which is of one model; or a run's places are not
 * known in the unit. ERR_NOT_FOUND: nothing is measured of a model, or nothing for a panel that is named.
 * ERR_LIMIT.
 */
int plot_compare_draw(const struct plot_compare_source *source, const struct plot_options *options,
                      enum step_unit unit, struct buf *svg, struct err *err);

#endif
