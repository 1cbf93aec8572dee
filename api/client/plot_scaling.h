/*
 * A figure of a suite of models as SVG: the onset, in the unit of the laws, against the number of parameters,
 * a point for each model and view, with the laws that `GET /v1/scaling` fitted.
 *
 * A pure function, as api/client/plot.h is. Both axes are logarithmic. A bar leads from an onset back to the
 * revision before it, since the onset lies between the two. Models without an onset, whose onset is not
 * known in that unit, or of unknown size, have no point; the figure says how many.
 */
#ifndef BIFURCATED_API_CLIENT_PLOT_SCALING_H
#define BIFURCATED_API_CLIENT_PLOT_SCALING_H

#include "api/client/plot.h"

/* As stored, and around the column means. */
#define PLOT_SCALING_VIEWS 2

/* Answers of the API, borrowed: GET /v1/scaling with view=raw and view=centred, of the rows that the options
 * name. NULL: not drawn. */
struct plot_scaling_source {
    const json_t *views[PLOT_SCALING_VIEWS];
};

/* Appends the SVG document. Of the options, is_tokens, is_dark and width count. ERR_NOT_FOUND: no model has
 * an onset. */
int plot_scaling_draw(const struct plot_scaling_source *source, const struct plot_options *options,
                      struct buf *svg, struct err *err);

#endif
