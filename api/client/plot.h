/*
 * A figure of one training run as SVG, drawn from what the API answers: the picture of the forking (the
 * distribution over training as a map) and, below it on the same axis of steps, displacement, bimodality and
 * perplexity, with the verdicts of the analysis as marks.
 *
 * A pure function: equal documents give equal bytes. Values that are missing or no numbers are left out.
 */
#ifndef BIFURCATED_API_CLIENT_PLOT_H
#define BIFURCATED_API_CLIENT_PLOT_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#include <jansson.h>

#define PLOT_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define PLOT_REVISIONS_MAX 20000
#define PLOT_WIDTH_MIN 360
#define PLOT_WIDTH_MAX 4000

/* symbol, name of the panel, group that names it together with others or NULL */
#define PLOT_PANELS(X)                                                                                       \
    X(HEAT, "heat", NULL)                                                                                    \
    X(DISPLACEMENT, "displacement", NULL)                                                                    \
    X(DIP, "dip", "bimodality")                                                                              \
    X(ASHMAN, "ashman", "bimodality")                                                                        \
    X(VALLEY, "valley", NULL)                                                                                \
    X(COEFFICIENT, "coefficient", NULL)                                                                      \
    X(PERPLEXITY, "perplexity", NULL)

enum plot_panel {
#define X(symbol, name, group) PLOT_PANEL_##symbol,
    PLOT_PANELS(X)
#undef X
        PLOT_PANEL_COUNT
};

/* Answers of the API, borrowed. */
struct plot_source {
    const json_t *distribution; /* GET …/distribution */
    const json_t *series;       /* GET …/revisions with the columns of plot_columns() */
    const json_t *analysis;     /* GET …/analysis, or NULL */
};

struct plot_options {
    int is_tokens, is_centred; /* which rows, which view; the source's documents must be of the same */
    int is_linear;             /* axis of steps */
    int is_dark;
    double width;    /* pixels; the height follows */
    unsigned panels; /* bits 1 << enum plot_panel; 0: heat, displacement, dip, ashman and perplexity, those
                        that have data */
};

/* The bits that a list such as "heat,bimodality" names. ERR_INVALID. */
int plot_panels_parse(const char *names, unsigned *ret_panels, struct err *err);

/* The columns of the series that a figure needs, "revision,step,…", for `fields`. */
void plot_columns(const struct plot_options *options, struct buf *columns);

/* Appends the SVG document. ERR_NOT_FOUND: nothing is measured, or nothing for a panel that is named.
 * ERR_LIMIT. */
int plot_draw(const struct plot_source *source, const struct plot_options *options, struct buf *svg,
              struct err *err);

#endif
