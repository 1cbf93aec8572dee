/*
 * A least-squares line, in two passes over the same points: first their means, then what lies around them. In
 * one pass the sums of late steps, which differ little as logarithms, would cancel.
 */
#ifndef BIFURCATED_ANALYSIS_LINE_H
#define BIFURCATED_ANALYSIS_LINE_H

struct line {
    double n, mean_x, mean_y; /* after pass 0 */
    double sxx, sxy;          /* after pass 1: sums of products around the means; the slope is sxy / sxx */
};

static inline void line_add(struct line *line, int pass, double x, double y)
{
    if (pass == 0) {
        line->n++;
        line->mean_x += (x - line->mean_x) / line->n;
        line->mean_y += (y - line->mean_y) / line->n;
    } else {
        line->sxx += (x - line->mean_x) * (x - line->mean_x);
        line->sxy += (x - line->mean_x) * (y - line->mean_y);
    }
}

#endif
