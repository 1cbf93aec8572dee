#include "api/client/plot_scaling.h"

#include "api/client/plot_parts.h"
#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "daemon/base/step_unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_HEIGHT 52
#define PANEL_HEIGHT 380
#define FOOT_HEIGHT 46
#define NAME_BYTES 40
#define LETTER_WIDTH 6.2 /* pixels of a small letter, about: enough to keep names apart */
#define LINE_HEIGHT 11
#define BAR_ASIDE 1.5 /* pixels between the bars of two views and their points */
#define RADIUS 3.5
#define MODELS_MAX 1000 /* as many as the API answers with; each is compared with each */

static const char *const view_names[PLOT_SCALING_VIEWS] = {"as stored", "around column means"};

/* A model with an onset, or with none so far; steps are in the figure's unit. */
struct dot {
    const char *model;
    double size;
    double step;   /* NaN: none so far */
    double before; /* NaN or 0 where the onset is the first revision or the one after step 0 */
};

struct view {
    const json_t *fit;
    struct dot *dots;
    size_t count;
};

/* A name that stands in the figure. */
struct label {
    double left, right, y;
};

struct figure {
    struct plot plot; /* its axis is of parameters */
    struct view views[PLOT_SCALING_VIEWS];
    enum step_unit unit;  /* of the laws */
    const char *tensor;   /* that was asked for; "": each model's unembedding */
    size_t known;         /* models that were asked for */
    size_t shown;         /* of them those with a point */
    int is_cut;           /* there are more */
    double small, large;  /* parameters of the points */
    double early, late;   /* steps: onsets, bars and ends of the laws */
    struct label *labels; /* [label_count] */
    size_t label_count;
};

/* -- What is to be seen -- */

static int is_seen(const struct view *view, const char *model)
{
    for (size_t i = 0; i < view->count; i++) {
        if (strcmp(view->dots[i].model, model) == 0)
            return 1;
    }
    return 0;
}

static double law_at(const struct view *view, double size)
{
    return member_number(view->fit, "prefactor") * pow(size, member_number(view->fit, "exponent"));
}

static void widen(struct figure *figure, double step)
{
    if (!(step > 0) || !isfinite(step))
        return;
    figure->early = fmin(figure->early, step);
    figure->late = fmax(figure->late, step);
}

/* Sizes of the first and the last model of a view; NaN without any. */
static void find_ends(const struct view *view, double ends[2])
{
    ends[0] = ends[1] = (double)NAN;
    for (size_t i = 0; i < view->count; i++) {
        ends[0] = fmin(ends[0], view->dots[i].size);
        ends[1] = fmax(ends[1], view->dots[i].size);
    }
}

/* Whether there is a law that has a place on the axes. */
static int has_law(const struct view *view)
{
    double ends[2];
    find_ends(view, ends);
    for (int k = 0; k < 2; k++) {
        double step = law_at(view, ends[k]);
        if (!(step > 0) || !isfinite(step))
            return 0;
    }
    return json_is_true(json_object_get(view->fit, "is_fitted"));
}

/* A bound of an onset in the figure's unit; NaN where it is not known in it. */
static double bound_of(const json_t *row, const char *tokens, const char *step, enum step_unit unit)
{
    if (unit == STEP_UNIT_TOKENS)
        return member_number(row, tokens);
    return step_unit_find(member_text(row, "step_unit")) == unit ? member_number(row, step) : (double)NAN;
}

static int read_view(struct figure *figure, int which, const json_t *document, struct err *err)
{
    struct view *view = &figure->views[which];
    const json_t *models = json_object_get(document, "models"), *row;
    double ends[2];
    size_t i;
    view->fit = json_object_get(document, "fit");
    figure->tensor = figure->tensor[0] ? figure->tensor : member_text(document, "tensor");
    view->dots = calloc(json_array_size(models) + 1, sizeof *view->dots);
    if (!view->dots)
        return err_set(err, ERR_NO_MEMORY, "plot: out of memory");
    figure->is_cut |= json_is_true(json_object_get(document, "is_cut"));
    if (figure->known < json_array_size(models))
        figure->known = json_array_size(models);
    json_array_foreach(models, i, row)
    {
        struct dot dot = {.model = member_text(row, "model"),
                          .size = member_number(row, "parameter_count"),
                          .step = bound_of(row, "onset_tokens", "onset_step", figure->unit),
                          .before = bound_of(row, "onset_tokens_before", "onset_step_before", figure->unit)};
        if (!(dot.size > 0 && (dot.step > 0 || dot.before > 0))) /* it has no place on the axes */
            continue;
        if (view->count == MODELS_MAX) {
            figure->is_cut = 1;
            break;
        }
        figure->shown += which == 0 || !is_seen(&figure->views[0], dot.model);
        figure->small = fmin(figure->small, dot.size);
        figure->large = fmax(figure->large, dot.size);
        widen(figure, dot.step);
        widen(figure, dot.before);
        view->dots[view->count++] = dot;
    }
    find_ends(view, ends);
    for (int k = 0; k < 2 && has_law(view); k++)
        widen(figure, law_at(view, ends[k]));
    return 0;
}

static int digest_contents(const struct figure *figure, char hex[DIGEST_SHA256_HEX_SIZE], struct err *err)
{
    struct buf lines;
    buf_init(&lines, PLOT_BYTES_MAX);
    for (int v = 0; v < PLOT_SCALING_VIEWS; v++) {
        const struct view *view = &figure->views[v];
        for (size_t i = 0; i < view->count; i++)
            buf_appendf(&lines, "%d %s %.17g %.17g %.17g\n", v, view->dots[i].model, view->dots[i].size,
                        view->dots[i].step, view->dots[i].before);
    }
    int code = buf_check(&lines, "names of models", err);
    if (!code)
        code = digest_sha256_hex(buf_text(&lines), lines.size, hex, err);
    buf_free(&lines);
    return code;
}

/* -- The document -- */

/* The numbers in words, for those who cannot see the figure. */
static void describe(const struct figure *figure)
{
    struct buf *svg = figure->plot.svg;
    for (int v = 0; v < PLOT_SCALING_VIEWS; v++) {
        const struct view *view = &figure->views[v];
        for (size_t i = 0; i < view->count; i++) {
            char place[STEP_UNIT_TEXT_SIZE];
            svg_append_escaped(svg, view->dots[i].model);
            buf_appendf(svg, ", %.0f parameters, %s: ", view->dots[i].size, view_names[v]);
            step_unit_write_place(figure->unit, view->dots[i].step, place);
            if (view->dots[i].step > 0)
                buf_appendf(svg, "onset at %s", place);
            else
                buf_append_text(svg, "no onset so far");
            step_unit_write_place(figure->unit, view->dots[i].before, place);
            if (view->dots[i].before >= 0)
                buf_appendf(svg, ", after %s", place);
            buf_append_text(svg, ".\n");
        }
    }
}

static void open_document(const struct figure *figure, double height, const char *contents)
{
    const struct plot *plot = &figure->plot;
    struct buf *svg = plot->svg;
    plot_begin_document(plot, height);
    buf_append_text(svg, "Onset of bifurcation against model size</title>\n<desc id=\"description\">");
    describe(figure);
    buf_append_text(svg, "</desc>\n<metadata><figure xmlns=\"urn:bifurcated:figure\" kind=\"scaling\"");
    if (figure->tensor[0])
        plot_append_attribute(svg, "tensor", figure->tensor);
    plot_append_attribute(svg, "rows", plot->options->is_tokens ? "tokens" : "all");
    plot_append_attribute(svg, "contents", contents);
    plot_append_attribute(svg, "unit", step_unit_name(figure->unit));
    buf_appendf(svg, " program=\"bifurcate %s\"/></metadata>\n", BIFURCATED_VERSION);
    plot_append_style(plot, height);
}

static void draw_head(const struct figure *figure, double height, const char *contents)
{
    char line[LIMIT_TENSOR_NAME_BYTES + 200];
    const struct plot *plot = &figure->plot;
    svg_text(plot->svg, PLOT_LEFT, 22, "start", "title", "Onset of bifurcation against model size");
    (void)snprintf(line, sizeof line, "%s%s%s; %zu of %s%zu models%s%s", figure->tensor,
                   figure->tensor[0] ? ", " : "", plot->options->is_tokens ? "token rows" : "all rows",
                   figure->shown, figure->is_cut ? "the first " : "", figure->known,
                   figure->shown < figure->known ? ", those with a known size and a bound of the onset in "
                                                 : "",
                   figure->shown < figure->known ? step_unit_name(figure->unit) : "");
    svg_text(plot->svg, PLOT_LEFT, 37, "start", "muted", line);
    svg_text(plot->svg, PLOT_LEFT, height - (plot_is_narrow(plot) ? 19 : 6), "start", "small",
             "bars: where the onset may be; to the top: none so far");
    plot_draw_source(plot, height, contents);
}

/* -- Points, laws, names -- */

/* The last part of a model's name, cut where it is long. */
static void shorten(const char *model, char name[NAME_BYTES])
{
    const char *slash = strrchr(model, '/');
    const char *from = slash && slash[1] ? slash + 1 : model;
    size_t size = strnlen(from, NAME_BYTES - 1);
    while (size && ((unsigned char)from[size] & 0xc0) == 0x80)
        size--; /* not within a character */
    (void)snprintf(name, NAME_BYTES, "%.*s", (int)size, from);
}

/* Names a point above or below it, where no other name stands; else it has none. */
static void name_dot(struct figure *figure, const struct dot *dot, double x, double y)
{
    char name[NAME_BYTES];
    shorten(dot->model, name);
    double width = LETTER_WIDTH * (double)strlen(name);
    double left = fmax(fmin(x - width / 2, figure->plot.axis.end - width - 2), figure->plot.axis.begin + 2);
    const double places[2] = {y - 8, y + 16};
    for (int k = 0; k < 2; k++) {
        int is_free = places[k] > figure->plot.top + LINE_HEIGHT && places[k] < figure->plot.bottom - 3;
        for (size_t i = 0; i < figure->label_count && is_free; i++) {
            const struct label *other = &figure->labels[i];
            is_free = left > other->right || left + width < other->left ||
                      fabs(places[k] - other->y) >= LINE_HEIGHT;
        }
        if (!is_free)
            continue;
        figure->labels[figure->label_count++] = (struct label){left, left + width, places[k]};
        svg_text(figure->plot.svg, left, places[k], "start", "small", name);
        return;
    }
}

static void draw_view(struct figure *figure, int which, const struct plot_axis *steps)
{
    const struct view *view = &figure->views[which];
    const struct plot *plot = &figure->plot;
    double ends[2], aside = which ? BAR_ASIDE : -BAR_ASIDE;
    find_ends(view, ends);
    if (has_law(view)) {
        struct svg_point points[2];
        for (int k = 0; k < 2; k++)
            points[k] = (struct svg_point){plot_axis_at(&plot->axis, ends[k]),
                                           plot_axis_at(steps, law_at(view, ends[k]))};
        svg_path(plot->svg, points, 2, which ? "line1" : "line0");
    }
    for (size_t i = 0; i < view->count; i++) {
        const struct dot *dot = &view->dots[i];
        double x = plot_axis_at(&plot->axis, dot->size);
        double y = dot->step > 0 ? plot_axis_at(steps, dot->step) : plot->top;
        double foot = dot->before > 0 ? plot_axis_at(steps, dot->before) : plot->bottom; /* from step 0 */
        svg_line(plot->svg, x + aside, y, x + aside, foot, which ? "error1" : "error");
        if (!(dot->step > 0))
            y = foot;
        else if (which) /* around the dot of the other view, where both are one */
            svg_circle(plot->svg, x, y, RADIUS + 1.5, "ring1");
        else
            svg_circle(plot->svg, x, y, RADIUS, "dot0");
        if (!which || !is_seen(&figure->views[0], dot->model))
            name_dot(figure, dot, x, y);
    }
}

/* What a line stands for, and its law. */
static void draw_key(const struct figure *figure, int which, double top)
{
    char lines[4][64] = {"no law", "", "", ""};
    const json_t *fit = figure->views[which].fit;
    double x = figure->plot.axis.end + 10;
    struct buf *svg = figure->plot.svg;
    if (has_law(&figure->views[which])) {
        (void)snprintf(lines[0], sizeof lines[0], "exponent %.3f", member_number(fit, "exponent"));
        (void)snprintf(lines[1], sizeof lines[1], "95 %%: %.3f to %.3f", member_number(fit, "exponent_low"),
                       member_number(fit, "exponent_high"));
        (void)snprintf(lines[2], sizeof lines[2], "%.0f models, %.0f sizes", member_number(fit, "count"),
                       member_number(fit, "sizes"));
        if (member_number(fit, "unforked") > 0)
            (void)snprintf(lines[3], sizeof lines[3], "not forked so far: %.0f",
                           member_number(fit, "unforked"));
    }
    svg_line(svg, x, top, x + 20, top, which ? "line1" : "line0");
    if (which)
        svg_circle(svg, x + 10, top, RADIUS + 1.5, "ring1");
    else
        svg_circle(svg, x + 10, top, RADIUS, "dot0");
    svg_text(svg, x, top + 16, "start", "small", view_names[which]);
    for (int i = 0; i < 4 && lines[i][0]; i++)
        svg_text(svg, x, top + 30 + 13 * i, "start", "small", lines[i]);
}

static int draw(struct figure *figure, const struct plot_scaling_source *source, struct err *err)
{
    char contents[DIGEST_SHA256_HEX_SIZE] = "";
    struct plot *plot = &figure->plot;
    double height = HEAD_HEIGHT + PANEL_HEIGHT + FOOT_HEIGHT, key_top = HEAD_HEIGHT + 12;
    char title[64];
    int code = 0;
    for (int v = PLOT_SCALING_VIEWS - 1; v >= 0; v--) {
        if (source->views[v])
            figure->unit = step_unit_find(member_text(source->views[v], "unit"));
    }
    for (int v = 0; v < PLOT_SCALING_VIEWS && !code; v++)
        code = source->views[v] ? read_view(figure, v, source->views[v], err) : 0;
    if (!code && !figure->shown)
        code = err_set(
            err, ERR_NOT_FOUND,
            "no model with a known number of parameters and a bound of its onset in %s is measured yet; "
            "`bifurcate scaling` lists what is known, --unit takes another unit",
            step_unit_name(figure->unit));
    if (!code)
        code = digest_contents(figure, contents, err);
    if (code)
        return code;
    if (!(figure->labels = calloc(2 * figure->shown, sizeof *figure->labels)))
        return err_set(err, ERR_NO_MEMORY, "plot: out of memory");
    if (plot_is_narrow(plot))
        height += PLOT_NOTE_HEIGHT;
    plot->top = HEAD_HEIGHT;
    plot->bottom = HEAD_HEIGHT + PANEL_HEIGHT;
    plot->axis =
        plot_axis_values(figure->small, figure->large, 1, PLOT_LEFT, plot->options->width - PLOT_RIGHT);
    struct plot_axis steps = plot_axis_values(figure->early, figure->late, 1, plot->bottom, plot->top);
    open_document(figure, height, contents);
    draw_head(figure, height, contents);
    plot_draw_grid(plot);
    (void)snprintf(title, sizeof title, "onset, %s (logarithmic)", plot_unit_title(figure->unit));
    plot_draw_frame(plot, &steps, title);
    for (int v = 0; v < PLOT_SCALING_VIEWS; v++) {
        if (!source->views[v])
            continue;
        draw_view(figure, v, &steps);
        draw_key(figure, v, key_top);
        key_top += 88;
    }
    plot_draw_ticks(plot, "parameters (logarithmic)");
    buf_append_text(plot->svg, "</svg>\n");
    return buf_check(plot->svg, "the figure", err);
}

int plot_scaling_draw(const struct plot_scaling_source *source, const struct plot_options *options,
                      struct buf *svg, struct err *err)
{
    const double none = (double)NAN;
    struct figure figure = {.plot = {.options = options, .svg = svg},
                            .tensor = "",
                            .small = none,
                            .large = none,
                            .early = none,
                            .late = none};
    int code = draw(&figure, source, err);
    for (int v = 0; v < PLOT_SCALING_VIEWS; v++)
        free(figure.views[v].dots);
    free(figure.labels);
    return code;
}
