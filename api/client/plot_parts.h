/*
 * What the files of a figure share: the run as numbers, and one panel after the other on one sheet.
 */
#ifndef BIFURCATED_API_CLIENT_PLOT_PARTS_H
#define BIFURCATED_API_CLIENT_PLOT_PARTS_H

#include "api/client/member.h"
#include "api/client/plot.h"
#include "api/client/plot_axis.h"
#include "api/client/svg.h"
#include "daemon/base/step_unit.h"

#define PLOT_LEFT 66   /* pixels beside the panels, for values ... */
#define PLOT_RIGHT 132 /* ... and for legends */

/* The run while it is drawn. */
struct plot {
    const struct plot_source *source;
    const struct plot_options *options;
    struct buf *svg;
    size_t count;          /* rows of the series with a step, ascending */
    const json_t **rows;   /* [count] of the series, borrowed */
    double *steps;         /* [count] */
    enum step_unit unit;   /* what they count */
    struct plot_axis axis; /* of steps */
    double top, bottom;    /* of the present panel */
};

/* The name of a column for the chosen rows and view ("dip" is "tokens_centred_dip"), or for the rows alone.
 */
void plot_statistic(const struct plot_options *options, const char *name, char *column, size_t size);
void plot_displacement(const struct plot_options *options, const char *name, char *column, size_t size);

/* What an axis of a unit is called: "training step", "training tokens", "training words", "epoch". */
const char *plot_unit_title(enum step_unit unit);

/* The onset of the chosen rows and view in the analysis, or NULL. */
const json_t *plot_onset(const struct plot *plot);

/* The map of the distribution: api/client/plot_heat.c. Its height, and whether there is one. */
#define PLOT_HEAT_HEIGHT 300
int plot_heat_is_there(const struct plot *plot);
void plot_heat_draw(const struct plot *plot);

/* Panels of lines: api/client/plot_lines.c. */
#define PLOT_LINES_HEIGHT 118
int plot_lines_is_there(const struct plot *plot, enum plot_panel panel);
int plot_lines_draw(const struct plot *plot, enum plot_panel panel, struct err *err);

/* The parts of it that figures of several runs have, too: the axis of a panel's values over what is drawn and
 * its threshold; frame and guide; and the value of row i in line k, NaN where it is not drawn (no such line,
 * nothing measured, not comparable with the rest of the run). `at` goes on from row to row, from 0. */
struct plot_axis plot_lines_values(const struct plot *plot, enum plot_panel panel, double low, double high);
void plot_lines_draw_frame(const struct plot *plot, enum plot_panel panel, const struct plot_axis *values);
double plot_lines_value(const struct plot *plot, enum plot_panel panel, int k, size_t i, size_t *at);

/* Whether the analysis leaves row i out, because it repeats another revision's weights: such points are
 * hollow. `at` as above. */
int plot_is_left_out(const struct plot *plot, size_t i, size_t *at);

/* Whether the first revision repeats a late one, so that displacements start from the wrong weights. */
int plot_starts_wrong(const struct plot *plot);

/* Reads the rows of plot->source->series that have a step and a value into count, rows and steps, which the
 * caller frees. ERR_NOT_FOUND: there is none. ERR_LIMIT. */
int plot_read_run(struct plot *plot, struct err *err);

/* The sheet: api/client/plot_sheet.c. Opens the document of a run with its style, its metadata and an empty
 * page. */
void plot_open_document(const struct plot *plot, double height, const char *contents);
void plot_draw_head(const struct plot *plot, double height, const char *contents);

/* The parts of it that every figure has: up to the text of <title>; an attribute of its metadata; from the
 * style to the empty page; and the note which contents are drawn. */
void plot_begin_document(const struct plot *plot, double height);
void plot_append_attribute(struct buf *svg, const char *name, const char *value);
void plot_append_style(const struct plot *plot, double height);
void plot_draw_source(const struct plot *plot, double height, const char *contents);

/* Whether both notes at the foot of the sheet do not fit beside each other, so that there is a line more. */
#define PLOT_NOTE_HEIGHT 17
int plot_is_narrow(const struct plot *plot);

/* Lines of the ticks of plot->axis, under the content of a panel. */
void plot_draw_grid(const struct plot *plot);

/* Frame, ticks and title of the values' axis of a panel. */
void plot_draw_frame(const struct plot *plot, const struct plot_axis *values, const char *title);

/* What the analysis found, over the content of a panel; named above the first one. */
void plot_draw_marks(const struct plot *plot, int is_first);

/* Ticks and title of plot->axis, under the last panel. */
void plot_draw_ticks(const struct plot *plot, const char *title);

#endif
