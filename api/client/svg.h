/*
 * A little SVG 1.1: what a figure needs, as text into a buffer. Coordinates are written with two decimals, so
 * that equal figures are equal bytes.
 */
#ifndef BIFURCATED_API_CLIENT_SVG_H
#define BIFURCATED_API_CLIENT_SVG_H

#include "daemon/base/buf.h"

#include <stddef.h>

struct svg_point {
    double x, y;
};

/* Appends text as XML may hold it: & < > " as entities; what XML 1.0 forbids, as U+FFFD. */
void svg_append_escaped(struct buf *svg, const char *text);

/* A line of text; `anchor` is "start", "middle" or "end", `class` one of the style sheet's. */
void svg_text(struct buf *svg, double x, double y, const char *anchor, const char *class, const char *text);

/* The same, turned a quarter to the left around its place: the title of an upright axis. */
void svg_text_upright(struct buf *svg, double x, double y, const char *class, const char *text);

void svg_line(struct buf *svg, double x1, double y1, double x2, double y2, const char *class);
void svg_rect(struct buf *svg, double x, double y, double width, double height, const char *class);
void svg_circle(struct buf *svg, double x, double y, double radius, const char *class);

/* A line through the points; nothing for fewer than two. */
void svg_path(struct buf *svg, const struct svg_point *points, size_t count, const char *class);

#endif
