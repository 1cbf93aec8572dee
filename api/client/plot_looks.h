/*
 * How the lines of several models are told apart in one figure: by colour and dashes. Of a suite, families
 * differ in hue and sizes in strength, the larger the stronger; other models have colours of their own.
 */
#ifndef BIFURCATED_API_CLIENT_PLOT_LOOKS_H
#define BIFURCATED_API_CLIENT_PLOT_LOOKS_H

#include <stddef.h>

#define PLOT_MODELS_MAX 32

struct plot_look {
    char colour[8]; /* "#rrggbb" */
    int dashes;     /* 0: a whole line */
};

/* The dashes of SVG of a look; NULL for a whole line. */
const char *plot_look_dashes(const struct plot_look *look);

/* Looks of so many names, at most PLOT_MODELS_MAX, no two of which are alike. */
void plot_looks_choose(const char *const *names, size_t count, int is_dark, struct plot_look *looks);

#endif
