#include "api/client/plot_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DIGEST_DIGITS 16
#define LABEL_WIDTH 6.0 /* pixels of a letter, about: enough to keep labels apart */
#define TITLE_WIDTH 9.5 /* the same of the title */
#define TENSOR_BYTES_MAX 200
#define NARROW 640
#define MARKS_MAX 2
#define MARK_GAP 8

/* Print and screen; colours that people with colour blindness can tell apart (Okabe and Ito 2008), and dashes
 * besides. */
static const char *const colours[2] = {
    ".page{fill:#fff}text{fill:#1a1f26}.muted,.small{fill:#46505c}.grid{stroke:#e3e7ec}"
    ".frame,.tick{stroke:#5b6672}.guide{stroke:#46505c}.band{fill:#5b6672}"
    ".onset{stroke:#b84a00}.stop{stroke:#00734f}.onset-name{fill:#b84a00}.stop-name{fill:#00734f}"
    ".line0,.hollow0,.error{stroke:#0060a8}.line1,.hollow1,.error1,.ring1{stroke:#b84a00}.line2,.hollow2{"
    "stroke:#00734f}"
    ".dot0{fill:#0060a8}.dot1{fill:#b84a00}.dot2{fill:#00734f}.hollow0,.hollow1,.hollow2{fill:#fff}",
    ".page{fill:#161b22}text{fill:#e4e8ee}.muted,.small{fill:#a8b3c0}.grid{stroke:#2a323d}"
    ".frame,.tick{stroke:#8793a1}.guide{stroke:#a8b3c0}.band{fill:#a8b3c0}"
    ".onset{stroke:#ff9a57}.stop{stroke:#4cc98b}.onset-name{fill:#ff9a57}.stop-name{fill:#4cc98b}"
    ".line0,.hollow0,.error{stroke:#5aa9ff}.line1,.hollow1,.error1,.ring1{stroke:#ff9a57}.line2,.hollow2{"
    "stroke:#4cc98b}"
    ".dot0{fill:#5aa9ff}.dot1{fill:#ff9a57}.dot2{fill:#4cc98b}.hollow0,.hollow1,.hollow2{fill:#161b22}",
};
static const char shapes[] =
    "text{font:11px Helvetica,Arial,'DejaVu "
    "Sans',sans-serif}.title{font-size:14px;font-weight:600}.small{font-size:10px}"
    ".frame{fill:none;stroke-width:.8}.grid{stroke-width:.7}.tick{stroke-width:.8}"
    ".guide{stroke-width:.9;stroke-dasharray:2 "
    "3}.band{fill-opacity:.2}.onset{stroke-width:1.3;stroke-dasharray:6 3}"
    ".stop{stroke-width:1.3;stroke-dasharray:1.5 2.5}.error,.error1{stroke-width:1;stroke-opacity:.55}"
    ".line0,.line1,.line2{fill:none;stroke-width:1.5;stroke-linejoin:round}.line1{stroke-dasharray:5 3}"
    ".line2{stroke-dasharray:1.5 2.5}.hollow0,.hollow1,.hollow2{stroke-width:1.2}"
    ".ring1{fill:none;stroke-width:1.5}";

void plot_draw_frame(const struct plot *plot, const struct plot_axis *values, const char *title)
{
    struct plot_tick ticks[PLOT_TICKS_MAX];
    size_t count = plot_axis_ticks(values, ticks);
    double left = plot->axis.begin, right = plot->axis.end, last = (double)INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (fabs(ticks[i].at - last) < 11)
            continue;
        last = ticks[i].at;
        svg_line(plot->svg, left - 4, ticks[i].at, left, ticks[i].at, "tick");
        svg_text(plot->svg, left - 7, ticks[i].at + 3.5, "end", "small", ticks[i].label);
    }
    svg_rect(plot->svg, left, plot->top, right - left, plot->bottom - plot->top, "frame");
    svg_text_upright(plot->svg, 14, (plot->top + plot->bottom) / 2, "label", title);
}

void plot_draw_grid(const struct plot *plot)
{
    struct plot_tick ticks[PLOT_TICKS_MAX];
    size_t count = plot_axis_ticks(&plot->axis, ticks);
    for (size_t i = 0; i < count; i++)
        svg_line(plot->svg, ticks[i].at, plot->top, ticks[i].at, plot->bottom, "grid");
}

void plot_draw_ticks(const struct plot *plot, const char *title)
{
    struct plot_tick ticks[PLOT_TICKS_MAX];
    size_t count = plot_axis_ticks(&plot->axis, ticks);
    double last = -(double)INFINITY;
    for (size_t i = 0; i < count; i++) {
        double half = LABEL_WIDTH * (double)strlen(ticks[i].label) / 2;
        svg_line(plot->svg, ticks[i].at, plot->bottom, ticks[i].at, plot->bottom + 4, "tick");
        if (ticks[i].at - half < last)
            continue;
        last = ticks[i].at + half + 3;
        svg_text(plot->svg, ticks[i].at, plot->bottom + 15, "middle", "small", ticks[i].label);
    }
    svg_text(plot->svg, (plot->axis.begin + plot->axis.end) / 2, plot->bottom + 30, "middle", "label", title);
}

static int is_yes(const json_t *part)
{
    return strcmp(member_text(part, "verdict"), "yes") == 0;
}

/* A verdict: an upright line, and its name above the first panel. */
struct mark {
    double x;
    const char *class, *name_class;
    char label[64];
};

/* Whether the verdict is "yes" and its step is drawn. */
static int find_mark(const struct plot *plot, const json_t *part, const char *name, struct mark *mark)
{
    double step = is_yes(part) ? member_number(part, "step") : (double)NAN;
    mark->x = plot_axis_at(&plot->axis, step);
    char place[STEP_UNIT_TEXT_SIZE];
    step_unit_write_place(plot->unit, step, place);
    (void)snprintf(mark->label, sizeof mark->label, "%.40s: %.20s", name, place);
    return mark->x >= plot->axis.begin && mark->x <= plot->axis.end;
}

/* Labels at their lines as far as there is room: each is pushed to the right by the one before it, and back
 * to the left by the edge of the sheet. */
static void name_marks(const struct plot *plot, const struct mark *marks, size_t count, double y)
{
    double left[MARKS_MAX], taken = 0, edge = plot->axis.end + PLOT_RIGHT - MARK_GAP;
    for (size_t i = 0; i < count; i++) {
        left[i] = fmax(marks[i].x - 2, taken);
        taken = left[i] + LABEL_WIDTH * (double)strlen(marks[i].label) + MARK_GAP;
    }
    for (size_t i = count; i-- > 0;) {
        left[i] = fmin(left[i], edge - LABEL_WIDTH * (double)strlen(marks[i].label));
        edge = left[i] - MARK_GAP;
        svg_text(plot->svg, left[i], y, "start", marks[i].name_class, marks[i].label);
    }
}

void plot_draw_marks(const struct plot *plot, int is_first)
{
    const json_t *fall = json_object_get(plot->source->analysis, "perplexity_fall");
    double from = is_yes(fall) ? member_number(fall, "step_from") : (double)NAN;
    double left = fmax(plot_axis_at(&plot->axis, from), plot->axis.begin);
    double right = fmin(plot_axis_at(&plot->axis, member_number(fall, "step_to")), plot->axis.end);
    if (!isnan(from) && right > left) {
        struct mark band = {left + 2, NULL, "small", "steepest fall of perplexity"};
        svg_rect(plot->svg, left, plot->top, right - left, plot->bottom - plot->top, "band");
        if (is_first)
            name_marks(plot, &band, 1, plot->top - 16);
    }
    struct mark marks[MARKS_MAX] = {{0, "onset", "small onset-name", ""}, {0, "stop", "small stop-name", ""}};
    size_t count = (size_t)find_mark(plot, plot_onset(plot), "onset", &marks[0]);
    struct mark *stop = &marks[count];
    *stop = marks[1];
    if (find_mark(plot, json_object_get(plot->source->analysis, "stop"), "could have stopped", stop))
        count++;
    if (count == 2 && marks[1].x < marks[0].x) {
        struct mark later = marks[0];
        marks[0] = marks[1];
        marks[1] = later;
    }
    for (size_t i = 0; i < count; i++)
        svg_line(plot->svg, marks[i].x, plot->top, marks[i].x, plot->bottom, marks[i].class);
    if (is_first)
        name_marks(plot, marks, count, plot->top - 4);
}

void plot_append_attribute(struct buf *svg, const char *name, const char *value)
{
    buf_appendf(svg, " %s=\"", name);
    svg_append_escaped(svg, value);
    buf_append_text(svg, "\"");
}

static const char *model_of(const struct plot *plot)
{
    return member_text(plot->source->distribution, "model");
}

void plot_begin_document(const struct plot *plot, double height)
{
    double width = plot->options->width;
    buf_appendf(plot->svg,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
                "version=\"1.1\" "
                "width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
                "aria-labelledby=\"title description\">\n<title id=\"title\">",
                width, height, width, height);
}

void plot_append_style(const struct plot *plot, double height)
{
    buf_appendf(plot->svg, "<style>%s%s</style>\n", shapes, colours[plot->options->is_dark]);
    svg_rect(plot->svg, 0, 0, plot->options->width, height, "page");
}

/* The last revision of which a tensor is shown: some may have a perplexity alone. */
static const json_t *last_measured(const struct plot *plot)
{
    for (size_t i = plot->count; i > 0; i--) {
        if (member_text(plot->rows[i - 1], "tensor")[0])
            return plot->rows[i - 1];
    }
    return plot->rows[plot->count - 1];
}

void plot_open_document(const struct plot *plot, double height, const char *contents)
{
    struct buf *svg = plot->svg;
    const struct plot_options *options = plot->options;
    const json_t *row = last_measured(plot);
    char first[STEP_UNIT_TEXT_SIZE], last[STEP_UNIT_TEXT_SIZE], onset[STEP_UNIT_TEXT_SIZE];
    plot_begin_document(plot, height);
    svg_append_escaped(svg, model_of(plot));
    buf_append_text(svg, member_text(row, "tensor")[0] ? ": " : "");
    svg_append_escaped(svg, member_text(row, "tensor"));
    buf_append_text(svg, " over training</title>\n<desc id=\"description\">");
    step_unit_write_place(plot->unit, plot->steps[0], first);
    step_unit_write_place(plot->unit, plot->steps[plot->count - 1], last);
    buf_appendf(svg, "%zu revisions from %s to %s", plot->count, first, last);
    step_unit_write_place(plot->unit, member_number(plot_onset(plot), "step"), onset);
    if (is_yes(plot_onset(plot)))
        buf_appendf(svg, "; onset of bifurcation at %s", onset);
    buf_append_text(svg, ".</desc>\n<metadata><figure xmlns=\"urn:bifurcated:figure\"");
    plot_append_attribute(svg, "model", model_of(plot));
    plot_append_attribute(svg, "tensor", member_text(row, "tensor"));
    plot_append_attribute(svg, "rows", options->is_tokens ? "tokens" : "all");
    plot_append_attribute(svg, "view", options->is_centred ? "centred" : "raw");
    plot_append_attribute(svg, "reference", member_text(row, "reference"));
    plot_append_attribute(svg, "contents", contents);
    buf_appendf(svg, " definition=\"%.0f\" analysis=\"%.0f\" program=\"bifurcate %s\"/></metadata>\n",
                fmax(member_number(row, "definition"), 0),
                fmax(member_number(plot->source->analysis, "definition"), 0), BIFURCATED_VERSION);
    plot_append_style(plot, height);
}

static int has_hollow(const struct plot *plot)
{
    size_t at = 0, i = 0;
    while (i < plot->count && !plot_is_left_out(plot, i, &at))
        i++;
    return i < plot->count;
}

int plot_is_narrow(const struct plot *plot)
{
    return plot->options->width < NARROW;
}

void plot_draw_source(const struct plot *plot, double height, const char *contents)
{
    char line[64];
    (void)snprintf(line, sizeof line, "bifurcated %s, contents %.*s", BIFURCATED_VERSION, DIGEST_DIGITS,
                   contents);
    svg_text(plot->svg, plot->options->width - 8, height - 6, "end", "small", line);
}

void plot_draw_head(const struct plot *plot, double height, const char *contents)
{
    char line[512];
    const json_t *row = last_measured(plot);
    /* Of a long folder the end tells which it is; the whole name is in the document's title. */
    const char *name = model_of(plot);
    size_t most = (size_t)((plot->options->width - PLOT_LEFT) / TITLE_WIDTH);
    if (strlen(name) > most) {
        name += strlen(name) - most;
        while (((unsigned char)*name & 0xc0) == 0x80)
            name++; /* within a character */
    }
    (void)snprintf(line, sizeof line, "%s%s", name == model_of(plot) ? "" : "\xe2\x80\xa6", name);
    svg_text(plot->svg, PLOT_LEFT, 22, "start", "title", line);
    const char *tensor = member_text(row, "tensor");
    int shown = (int)strnlen(tensor, TENSOR_BYTES_MAX);
    while (shown > 0 && ((unsigned char)tensor[shown] & 0xc0) == 0x80)
        shown--; /* not within a character */
    if (shown)
        (void)snprintf(line, sizeof line, "%.*s, %s, %s; %zu revisions", shown, tensor,
                       plot->options->is_tokens ? "token rows" : "all rows",
                       plot->options->is_centred ? "around column means" : "as stored", plot->count);
    else /* no tensor was measured */
        (void)snprintf(line, sizeof line, "%zu revisions", plot->count);
    svg_text(plot->svg, PLOT_LEFT, 37, "start", "muted", line);
    if (has_hollow(plot))
        svg_text(plot->svg, PLOT_LEFT, height - (plot_is_narrow(plot) ? 19 : 6), "start", "small",
                 "hollow: repeats another revision\xe2\x80\x99s weights, left out of verdicts");
    plot_draw_source(plot, height, contents);
}
