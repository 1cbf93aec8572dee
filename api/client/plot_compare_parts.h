/*
 * What the files of a figure of several runs share: the runs on one axis, and the sheet they are drawn on.
 */
#ifndef BIFURCATED_API_CLIENT_PLOT_COMPARE_PARTS_H
#define BIFURCATED_API_CLIENT_PLOT_COMPARE_PARTS_H

#include "api/client/plot_compare.h"
#include "api/client/plot_parts.h"

#define PLOT_COMPARE_NAME_BYTES 40

struct comparison {
    const struct plot_compare_source *source;
    struct plot sheet; /* its axis and the present panel; the source is the first run's */
    struct plot *runs; /* [source->count]; `steps` are places on the axis */
    enum step_unit unit;
    struct plot_look looks[PLOT_MODELS_MAX];
    char names[PLOT_MODELS_MAX][PLOT_COMPARE_NAME_BYTES]; /* short */
    int score;                                            /* line of the panel of perplexity */
    int has_ring, has_hollow;                             /* points that the foot explains */
};

/* The sheet: api/client/plot_compare_sheet.c. Chooses what the models are called in the key; where that ends
 * and the panels begin. */
double plot_compare_begin_sheet(struct comparison *all);

/* Opens the document with its style, its metadata, an empty page, and the head with the key. */
void plot_compare_open_sheet(const struct comparison *all, double height, const char *contents);

#endif
