#include "api/client/plot_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 3
#define DOTS_MAX 80    /* more points than these are a line alone */
#define KEY_LENGTH 14  /* bytes of a revision's name, in a key */
#define ERROR_REACH 10 /* on a logarithmic axis an error bar makes room down to this part of its value */

enum origin {
    ORIGIN_STATISTIC,    /* a column for rows and view */
    ORIGIN_REFERENCE,    /* a column for the rows: displacement from the run's reference */
    ORIGIN_DISPLACEMENT, /* a column for the rows: from another revision */
    ORIGIN_SCORE,        /* a column as it is called */
    ORIGIN_NULL          /* of the analysis: what decay and a random walk alone would do */
};

struct line {
    enum origin origin;
    const char *column;
    const char *error; /* column of the standard error, or NULL */
    const char *name;
    const char *mode; /* of ORIGIN_SCORE, as the analysis calls it */
};

static const struct panel {
    const char *title;
    int is_log, from_zero;
    const char *threshold; /* of the analysis, drawn as a guide; or NULL */
    double guide;          /* drawn where there is no threshold; NaN: none */
    const char *guide_name;
    struct line lines[LINES_MAX];
} panels[PLOT_PANEL_COUNT] = {
    [PLOT_PANEL_DISPLACEMENT] = {"MSD",
                                 1,
                                 0,
                                 NULL,
                                 (double)NAN,
                                 NULL,
                                 {{ORIGIN_REFERENCE, "msd", NULL, "from the start", NULL},
                                  {ORIGIN_DISPLACEMENT, "lag1_msd", NULL, "revision before", NULL},
                                  {ORIGIN_NULL, "msd_null", NULL, "decay and walk", NULL}}},
    [PLOT_PANEL_DIP] =
        {"dip", 0, 1, "dip_on", (double)NAN, "onset", {{ORIGIN_STATISTIC, "dip", NULL, "dip", NULL}}},
    [PLOT_PANEL_ASHMAN] = {"Ashman\xe2\x80\x99s D",
                           0,
                           1,
                           "ashman_on",
                           (double)NAN,
                           "onset",
                           {{ORIGIN_STATISTIC, "ashman_d", NULL, "Ashman\xe2\x80\x99s D", NULL}}},
    [PLOT_PANEL_VALLEY] = {"valley / peak",
                           0,
                           1,
                           "valley_on",
                           (double)NAN,
                           "onset",
                           {{ORIGIN_STATISTIC, "valley_to_peak", NULL, "valley / peak", NULL}}},
    [PLOT_PANEL_COEFFICIENT] = {"bimodality coefficient",
                                0,
                                0,
                                NULL,
                                5.0 / 9,
                                "5/9",
                                {{ORIGIN_STATISTIC, "bimodality", NULL, "coefficient", NULL}}},
    [PLOT_PANEL_PERPLEXITY] = {"perplexity",
                               1,
                               0,
                               NULL,
                               (double)NAN,
                               NULL,
                               {{ORIGIN_SCORE, "perplexity", "perplexity_stderr", "last word", "last_word"},
                                {ORIGIN_SCORE, "pooled_perplexity", "pooled_perplexity_stderr", "all tokens",
                                 "tokens"},
                                {ORIGIN_SCORE, "text_mean_perplexity", "text_mean_perplexity_stderr",
                                 "mean of texts", "text_mean"}}},
};

/* The analysis' point of a revision, or NULL. Both are in step order, so the search goes on from `at`. */
static const json_t *analysis_of(const struct plot *plot, const json_t *row, size_t *at)
{
    const json_t *points = json_object_get(plot->source->analysis, "revisions");
    const char *name = json_string_value(json_object_get(row, "revision"));
    for (size_t i = *at; name && i < json_array_size(points); i++) {
        const json_t *point = json_array_get(points, i);
        const char *other = json_string_value(json_object_get(point, "revision"));
        if (other && strcmp(other, name) == 0) {
            *at = i + 1;
            return point;
        }
    }
    return NULL;
}

/* Whether a score is of other texts than the line's: the analysis compares it with none of them. */
static int is_of_other_texts(const struct plot *plot, const struct line *line, size_t i, size_t *at)
{
    const json_t *modes = json_object_get(analysis_of(plot, plot->rows[i], at), "other_texts"), *mode;
    size_t k;
    json_array_foreach(modes, k, mode)
    {
        if (json_is_string(mode) && strcmp(json_string_value(mode), line->mode) == 0)
            return 1;
    }
    return 0;
}

/* Whether a displacement is from another revision than the run's: a sweep of some revisions named another. */
static int is_from_elsewhere(const struct plot *plot, size_t i)
{
    const char *reference = member_text(plot->source->analysis, "reference");
    const char *from = member_text(plot->rows[i], "reference");
    return reference[0] && from[0] && strcmp(from, reference) != 0;
}

static double value_of(const struct plot *plot, const struct line *line, size_t i, size_t *at)
{
    char column[64];
    if (line->origin == ORIGIN_NULL)
        return member_number(analysis_of(plot, plot->rows[i], at), line->column);
    if (line->origin == ORIGIN_STATISTIC)
        plot_statistic(plot->options, line->column, column, sizeof column);
    else if (line->origin == ORIGIN_DISPLACEMENT || line->origin == ORIGIN_REFERENCE)
        plot_displacement(plot->options, line->column, column, sizeof column);
    else if (is_of_other_texts(plot, line, i, at))
        return (double)NAN;
    else
        (void)snprintf(column, sizeof column, "%s", line->column);
    if (line->origin == ORIGIN_REFERENCE && is_from_elsewhere(plot, i))
        return (double)NAN;
    return member_number(plot->rows[i], column);
}

static int is_drawn(const struct panel *panel, double value)
{
    return panel->is_log ? value > 0 : !isnan(value);
}

/* Lowest and highest value of a panel's lines, their error bars included; whether there is any. */
static int find_range(const struct plot *plot, const struct panel *panel, double *low, double *high)
{
    *low = *high = (double)NAN;
    for (int k = 0; k < LINES_MAX && panel->lines[k].column; k++) {
        size_t at = 0;
        for (size_t i = 0; i < plot->count; i++) {
            double value = value_of(plot, &panel->lines[k], i, &at);
            if (!is_drawn(panel, value))
                continue;
            double error = panel->lines[k].error ? member_number(plot->rows[i], panel->lines[k].error) : 0;
            error = error > 0 ? error : 0;
            *low = fmin(*low, panel->is_log ? fmax(value - error, value / ERROR_REACH) : value - error);
            *high = fmax(*high, value + error);
        }
    }
    return !isnan(*low);
}

int plot_lines_is_there(const struct plot *plot, enum plot_panel panel)
{
    double low, high;
    return find_range(plot, &panels[panel], &low, &high);
}

static void draw_guide(const struct plot *plot, const struct panel *panel, const struct plot_axis *values)
{
    double guide = panel->threshold ? member_number(json_object_get(plot->source->analysis, "thresholds"),
                                                    panel->threshold)
                                    : panel->guide;
    char label[48];
    double y = plot_axis_at(values, guide);
    if (!(y >= plot->top && y <= plot->bottom))
        return;
    svg_line(plot->svg, plot->axis.begin, y, plot->axis.end, y, "guide");
    if (panel->threshold)
        (void)snprintf(label, sizeof label, "%s: %g", panel->guide_name, guide);
    else
        (void)snprintf(label, sizeof label, "%s", panel->guide_name);
    svg_text(plot->svg, plot->axis.end + 6, y + 3.5, "start", "small", label);
}

static void draw_errors(const struct plot *plot, const struct panel *panel, const struct line *line,
                        const struct plot_axis *values)
{
    size_t at = 0;
    for (size_t i = 0; i < plot->count && line->error; i++) {
        double value = value_of(plot, line, i, &at), error = member_number(plot->rows[i], line->error);
        double x = plot_axis_at(&plot->axis, plot->steps[i]);
        if (!is_drawn(panel, value) || !(error > 0))
            continue;
        double low = panel->is_log ? fmax(value - error, values->low) : value - error;
        svg_line(plot->svg, x, fmin(plot_axis_at(values, low), plot->bottom), x,
                 fmax(plot_axis_at(values, value + error), plot->top), "error");
    }
}

static void draw_key(const struct plot *plot, const char *name, int k, int position)
{
    char class[16];
    double x = plot->axis.end + 14, y = plot->top + 12 + 15 * position;
    (void)snprintf(class, sizeof class, "line%d", k);
    svg_line(plot->svg, x, y - 3.5, x + 20, y - 3.5, class);
    svg_text(plot->svg, x + 26, y, "start", "small", name);
}

/* The name of a line: "from the start" only where displacements are from there. */
static const char *name_of(const struct plot *plot, const struct line *line, char *name, size_t size)
{
    const json_t *first = json_array_get(json_object_get(plot->source->analysis, "revisions"), 0);
    const char *reference = member_text(plot->source->analysis, "reference");
    if (line->origin != ORIGIN_REFERENCE || !reference[0] ||
        strcmp(reference, member_text(first, "revision")) == 0)
        return line->name;
    const size_t length = strlen(reference);
    size_t begin = length > KEY_LENGTH ? length - KEY_LENGTH : 0;
    while (((unsigned char)reference[begin] & 0xc0) == 0x80) /* not within a character */
        begin++;
    (void)snprintf(name, size, "from %s%s", begin ? "\xe2\x80\xa6" : "", reference + begin);
    return name;
}

/* How many values of a line are left out of it. */
static size_t count_left_out(const struct plot *plot, const struct panel *panel, const struct line *line)
{
    char column[64];
    size_t count = 0, at = 0;
    if (line->origin != ORIGIN_REFERENCE && !line->mode)
        return 0;
    (void)snprintf(column, sizeof column, "%s", line->column);
    if (line->origin == ORIGIN_REFERENCE)
        plot_displacement(plot->options, line->column, column, sizeof column);
    for (size_t i = 0; i < plot->count; i++)
        count += is_drawn(panel, member_number(plot->rows[i], column)) &&
                 (line->mode ? is_of_other_texts(plot, line, i, &at) : is_from_elsewhere(plot, i));
    return count;
}

int plot_starts_wrong(const struct plot *plot)
{
    const json_t *cautions = json_object_get(json_object_get(plot->source->analysis, "stop"), "cautions");
    const json_t *caution;
    size_t i;
    json_array_foreach(cautions, i, caution)
    {
        if (strcmp(member_text(caution, "name"), "first_is_suspect") == 0)
            return 1;
    }
    return 0;
}

/* How many scores of a panel are of other texts, or displacements from another revision, under its key: no
 * line has them. And whether displacements start from the wrong weights. */
static void draw_left_out(const struct plot *plot, const struct panel *panel, int position)
{
    char text[48];
    size_t count = 0;
    double x = plot->axis.end + 14, y = plot->top + 12 + 15 * position;
    for (int k = 0; k < LINES_MAX && panel->lines[k].column; k++)
        count += count_left_out(plot, panel, &panel->lines[k]);
    if (panel->lines[0].origin == ORIGIN_REFERENCE && plot_starts_wrong(plot)) {
        svg_text(plot->svg, x, y, "start", "small", "the first revision");
        svg_text(plot->svg, x, y + 12, "start", "small", "repeats a late one");
        y += 27;
    }
    if (!count)
        return;
    (void)snprintf(text, sizeof text, panel->lines[0].mode ? "%zu of other texts" : "%zu from elsewhere",
                   count);
    svg_text(plot->svg, x, y, "start", "small", text);
    svg_text(plot->svg, x, y + 12, "start", "small", "left out");
}

int plot_is_left_out(const struct plot *plot, size_t i, size_t *at)
{
    const json_t *point = analysis_of(plot, plot->rows[i], at);
    return json_is_false(json_object_get(point, "is_counted")) &&
           json_is_number(json_object_get(point, "msd")); /* whose weights are not known repeats nothing */
}

/* The points of a line; hollow where the analysis leaves them out, and these alone where there are many. */
static void draw_dots(const struct plot *plot, const struct panel *panel, int k,
                      const struct plot_axis *values, int are_many)
{
    char class[32];
    size_t at = 0, other = 0;
    for (size_t i = 0; i < plot->count; i++) {
        double value = value_of(plot, &panel->lines[k], i, &at);
        int is_hollow = plot_is_left_out(plot, i, &other);
        (void)snprintf(class, sizeof class, is_hollow ? "hollow%d" : "dot%d", k);
        if (is_drawn(panel, value) && (is_hollow || !are_many))
            svg_circle(plot->svg, plot_axis_at(&plot->axis, plot->steps[i]), plot_axis_at(values, value),
                       is_hollow ? 2.6 : 1.7, class);
    }
}

/* One line; returns whether it has a point. */
static int draw_line(const struct plot *plot, const struct panel *panel, int k,
                     const struct plot_axis *values, struct svg_point *points)
{
    const struct line *line = &panel->lines[k];
    char class[16];
    size_t count = 0, at = 0;
    for (size_t i = 0; i < plot->count; i++) {
        double value = value_of(plot, line, i, &at);
        if (!is_drawn(panel, value))
            continue;
        points[count].x = plot_axis_at(&plot->axis, plot->steps[i]);
        points[count++].y = plot_axis_at(values, value);
    }
    draw_errors(plot, panel, line, values);
    (void)snprintf(class, sizeof class, "line%d", k);
    svg_path(plot->svg, points, count, class);
    if (line->origin != ORIGIN_NULL)
        draw_dots(plot, panel, k, values, count > DOTS_MAX);
    return count > 0;
}

struct plot_axis plot_lines_values(const struct plot *plot, enum plot_panel which, double low, double high)
{
    const struct panel *panel = &panels[which];
    if (panel->from_zero)
        low = fmin(low, 0);
    if (panel->threshold) { /* the threshold is part of what is read off */
        double guide = member_number(json_object_get(plot->source->analysis, "thresholds"), panel->threshold);
        high = fmax(high, guide);
    }
    struct plot_axis values = plot_axis_values(low, high, panel->is_log, plot->bottom, plot->top);
    if (panel->from_zero && low == 0)
        values.low = 0;
    return values;
}

void plot_lines_draw_frame(const struct plot *plot, enum plot_panel which, const struct plot_axis *values)
{
    plot_draw_frame(plot, values, panels[which].title);
    draw_guide(plot, &panels[which], values);
}

double plot_lines_value(const struct plot *plot, enum plot_panel which, int k, size_t i, size_t *at)
{
    if (k >= LINES_MAX || !panels[which].lines[k].column)
        return (double)NAN;
    double value = value_of(plot, &panels[which].lines[k], i, at);
    return is_drawn(&panels[which], value) ? value : (double)NAN;
}

int plot_lines_draw(const struct plot *plot, enum plot_panel which, struct err *err)
{
    const struct panel *panel = &panels[which];
    double low = 0, high = 0;
    char name[64];
    int position = 0;
    (void)find_range(plot, panel, &low, &high);
    struct plot_axis values = plot_lines_values(plot, which, low, high);
    struct svg_point *points = calloc(plot->count, sizeof *points);
    if (!points)
        return err_set(err, ERR_NO_MEMORY, "plot: out of memory");
    plot_lines_draw_frame(plot, which, &values);
    for (int k = 0; k < LINES_MAX && panel->lines[k].column; k++) {
        if (draw_line(plot, panel, k, &values, points) && panel->lines[1].column)
            draw_key(plot, name_of(plot, &panel->lines[k], name, sizeof name), k, position++);
    }
    draw_left_out(plot, panel, position);
    free(points);
    return 0;
}
