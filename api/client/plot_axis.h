/*
 * The axes of a figure: training steps (logarithmic with step 0 beside the first positive one, or linear) and
 * the values of one panel. Pure arithmetic: places to pixels, and where ticks go.
 */
#ifndef BIFURCATED_API_CLIENT_PLOT_AXIS_H
#define BIFURCATED_API_CLIENT_PLOT_AXIS_H

#include <stddef.h>

#define PLOT_TICKS_MAX 40
#define PLOT_LABEL_SIZE 32

struct plot_axis {
    int is_log;
    double low, high;  /* values at the ends; positive on a logarithmic axis of values */
    double begin, end; /* pixels of the ends: left and right, or bottom and top */
    double positive;   /* axis of steps: the smallest positive one; 0 for an axis of values */
};

struct plot_tick {
    double at; /* pixels */
    char label[PLOT_LABEL_SIZE];
};

/* An axis of steps over `count` ascending steps. Without any, and where all are one, it is a step wide. */
struct plot_axis plot_axis_steps(const double *steps, size_t count, int is_log, double begin, double end);

/* An axis of values between two numbers, a little widened; `is_log` needs 0 < low. */
struct plot_axis plot_axis_values(double low, double high, int is_log, double begin, double end);

/* Pixels of a value; beyond the ends it lies outside. */
double plot_axis_at(const struct plot_axis *axis, double value);

/* Ticks of an axis in ascending order, at most PLOT_TICKS_MAX; returns how many. */
size_t plot_axis_ticks(const struct plot_axis *axis, struct plot_tick *ticks);

#endif
