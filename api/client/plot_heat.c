#include "api/client/plot_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LEVELS 32
#define BINS_MAX 2048
#define BAR_WIDTH 10
#define BAR_HEIGHT 120
#define STOPS 6

/* From nothing to the fullest bin, dark in print and light on dark: blues, in even steps of lightness. */
static const unsigned char ramps[2][STOPS][3] = {
    {{255, 255, 255}, {198, 219, 239}, {107, 174, 214}, {33, 113, 181}, {8, 48, 107}, {4, 20, 50}},
    {{22, 27, 34}, {20, 52, 96}, {24, 100, 160}, {60, 160, 190}, {150, 215, 170}, {253, 245, 180}},
};

static void name_colour(int is_dark, int level, char colour[8])
{
    double at = (double)level / (LEVELS - 1) * (STOPS - 1);
    int low = (int)fmin(floor(at), STOPS - 2);
    int mixed[3];
    for (int i = 0; i < 3; i++) {
        double from = ramps[is_dark][low][i], to = ramps[is_dark][low + 1][i];
        mixed[i] = (int)lround(from + (to - from) * (at - low));
    }
    (void)snprintf(colour, 8, "#%02x%02x%02x", (unsigned)mixed[0] & 255, (unsigned)mixed[1] & 255,
                   (unsigned)mixed[2] & 255);
}

static size_t bin_count(const struct plot *plot)
{
    double bins = member_number(plot->source->distribution, "bins");
    return bins >= 1 && bins <= BINS_MAX ? (size_t)bins : 0;
}

/* The run's revision of this step, or NULL. */
static const json_t *find_row(const struct plot *plot, double step)
{
    size_t low = 0, high = plot->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (plot->steps[middle] < step)
            low = middle + 1;
        else
            high = middle;
    }
    return low < plot->count && !(step < plot->steps[low]) ? plot->rows[low] : NULL;
}

/* A later stage counts its steps anew: its revisions are no part of the run, and would lie over those that
 * are. */
static int is_usable(const struct plot *plot, const json_t *row)
{
    const json_t *own = find_row(plot, member_number(row, "step"));
    return own && strcmp(member_text(own, "revision"), member_text(row, "revision")) == 0 &&
           json_array_size(json_object_get(row, "counts")) == bin_count(plot);
}

int plot_heat_is_there(const struct plot *plot)
{
    const json_t *row;
    size_t i;
    double low = member_number(plot->source->distribution, "low");
    double high = member_number(plot->source->distribution, "high");
    if (!bin_count(plot) || !(low < high))
        return 0;
    json_array_foreach(json_object_get(plot->source->distribution, "revisions"), i, row)
    {
        if (is_usable(plot, row))
            return 1;
    }
    return 0;
}

/* The level of a bin: the square root of its count over the fullest bin of its revision. */
static int level_of(const json_t *counts, size_t bin, double most)
{
    double count = json_number_value(json_array_get(counts, bin));
    return count > 0 && most > 0 ? (int)lround(sqrt(count / most) * (LEVELS - 1)) : 0;
}

static double fullest(const json_t *counts)
{
    double most = 0;
    const json_t *count;
    size_t i;
    json_array_foreach(counts, i, count)
    {
        most = fmax(most, json_number_value(count));
    }
    return most;
}

/* The bins of one level in one revision as rectangles of a path; neighbours of the same level are one. */
static void append_column(const struct plot *plot, const json_t *counts, double left, double right, int level)
{
    size_t bins = bin_count(plot);
    double most = fullest(counts), height = (plot->bottom - plot->top) / (double)bins;
    for (size_t begin = 0, end; begin < bins; begin = end) {
        for (end = begin + 1; end < bins && level_of(counts, end, most) == level_of(counts, begin, most);
             end++)
            ;
        if (level_of(counts, begin, most) != level)
            continue;
        buf_appendf(plot->svg, "M%.2f %.2fh%.2fv%.2fh%.2fz", left, plot->bottom - (double)end * height,
                    right - left, (double)(end - begin) * height, left - right);
    }
}

/* The place of a revision's neighbour in the map, or NaN. */
static double neighbour_at(const struct plot *plot, const json_t *rows, size_t i, int direction)
{
    for (size_t k = i + (size_t)direction; k < json_array_size(rows); k += (size_t)direction) {
        const json_t *row = json_array_get(rows, k);
        if (is_usable(plot, row))
            return plot_axis_at(&plot->axis, member_number(row, "step"));
    }
    return (double)NAN;
}

/* Each revision reaches half the way to its neighbours, at the ends as far as on the other side. */
static void find_sides(const struct plot *plot, const json_t *rows, size_t i, double *left, double *right)
{
    double at = plot_axis_at(&plot->axis, member_number(json_array_get(rows, i), "step"));
    double before = neighbour_at(plot, rows, i, -1), after = neighbour_at(plot, rows, i, 1);
    double width = plot->axis.end - plot->axis.begin;
    double reach_left = isnan(before) ? isnan(after) ? width : (after - at) / 2 : (at - before) / 2;
    double reach_right = isnan(after) ? reach_left : (after - at) / 2;
    *left = fmax(at - reach_left, plot->axis.begin);
    *right = fmin(at + reach_right, plot->axis.end);
}

static void draw_cells(const struct plot *plot)
{
    const json_t *rows = json_object_get(plot->source->distribution, "revisions"), *row;
    size_t i;
    buf_append_text(plot->svg, "<g shape-rendering=\"crispEdges\">\n");
    for (int level = 1; level < LEVELS; level++) {
        char colour[8];
        name_colour(plot->options->is_dark, level, colour);
        buf_appendf(plot->svg, "<path fill=\"%s\" d=\"", colour);
        json_array_foreach(rows, i, row)
        {
            double left = 0, right = 0;
            if (!is_usable(plot, row))
                continue;
            find_sides(plot, rows, i, &left, &right);
            if (right > left)
                append_column(plot, json_object_get(row, "counts"), left, right, level);
        }
        buf_append_text(plot->svg, "\"/>\n");
    }
    buf_append_text(plot->svg, "</g>\n");
}

/* The scale of the colours, beside the map. */
static void draw_bar(const struct plot *plot)
{
    static const double shares[] = {0, 0.01, 0.1, 0.5, 1};
    double left = plot->axis.end + 14, bottom = plot->top + 34 + BAR_HEIGHT;
    svg_text(plot->svg, left, plot->top + 9, "start", "small", "share of the revision\xe2\x80\x99s");
    svg_text(plot->svg, left, plot->top + 21, "start", "small", "fullest bin");
    buf_append_text(plot->svg, "<g shape-rendering=\"crispEdges\">\n");
    for (int level = 0; level < LEVELS; level++) {
        char colour[8];
        double height = (double)BAR_HEIGHT / LEVELS;
        name_colour(plot->options->is_dark, level, colour);
        buf_appendf(plot->svg, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%d\" height=\"%.2f\" fill=\"%s\"/>\n",
                    left, bottom - (level + 1) * height, BAR_WIDTH, height, colour);
    }
    buf_append_text(plot->svg, "</g>\n");
    svg_rect(plot->svg, left, bottom - BAR_HEIGHT, BAR_WIDTH, BAR_HEIGHT, "frame");
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        char label[16];
        double y = bottom - sqrt(shares[i]) * BAR_HEIGHT;
        (void)snprintf(label, sizeof label, "%g %%", 100 * shares[i]);
        svg_line(plot->svg, left + BAR_WIDTH, y, left + BAR_WIDTH + 3, y, "tick");
        svg_text(plot->svg, left + BAR_WIDTH + 6, y + 3.5, "start", "small", label);
    }
}

void plot_heat_draw(const struct plot *plot)
{
    struct plot_axis values = {.low = member_number(plot->source->distribution, "low"),
                               .high = member_number(plot->source->distribution, "high"),
                               .begin = plot->bottom,
                               .end = plot->top};
    draw_cells(plot);
    plot_draw_frame(plot, &values,
                    plot->options->is_centred ? "weight less its column\xe2\x80\x99s mean" : "weight");
    draw_bar(plot);
}
