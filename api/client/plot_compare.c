#include "api/client/plot_compare_parts.h"

#include "daemon/base/digest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOOT_HEIGHT 46
#define GAP 12
#define PANEL_HEIGHT 150
#define DOTS_MAX 30 /* more points than these are a line alone */
#define RING 3.6
#define HOLLOW 2.4
#define SCORES 3 /* lines of the panel of perplexity: one for each mode */

#define STANDARD_PANELS                                                                                      \
    (1U << PLOT_PANEL_DISPLACEMENT | 1U << PLOT_PANEL_DIP | 1U << PLOT_PANEL_ASHMAN |                        \
     1U << PLOT_PANEL_PERPLEXITY)

static const char *const score_digests[SCORES] = {
    "perplexity_dataset_digest", "pooled_perplexity_dataset_digest", "text_mean_perplexity_dataset_digest"};

void plot_compare_columns(const struct plot_options *options, struct buf *columns)
{
    plot_columns(options, columns);
    for (int i = 0; i < SCORES; i++)
        buf_appendf(columns, ",%s", score_digests[i]);
}

/* -- The runs on one axis -- */

/* Puts the places of a run's rows in tokens in the place of its steps; rows without are left out. */
static void use_tokens(struct plot *run)
{
    const json_t *points = json_object_get(run->source->analysis, "revisions");
    size_t kept = 0, at = 0;
    for (size_t i = 0; i < run->count; i++) {
        double tokens = (double)NAN;
        for (size_t k = at; k < json_array_size(points); k++) {
            const json_t *point = json_array_get(points, k);
            if (strcmp(member_text(point, "revision"), member_text(run->rows[i], "revision")) != 0)
                continue;
            tokens = member_number(point, "tokens");
            at = k + 1;
            break;
        }
        if (isnan(tokens) || (kept && tokens <= run->steps[kept - 1]))
            continue;
        run->rows[kept] = run->rows[i];
        run->steps[kept++] = tokens;
    }
    run->count = kept;
}

static enum step_unit choose_unit(const struct comparison *all, enum step_unit wanted)
{
    enum step_unit unit = wanted;
    for (size_t i = 0; i < all->source->count && wanted == STEP_UNIT_COUNT; i++)
        unit = i == 0 || all->runs[i].unit == unit ? all->runs[i].unit : STEP_UNIT_TOKENS;
    return unit;
}

static int read_runs(struct comparison *all, enum step_unit wanted, struct err *err)
{
    for (size_t i = 0; i < all->source->count; i++) {
        struct plot *run = &all->runs[i];
        run->source = &all->source->runs[i];
        run->options = all->sheet.options;
        if (plot_read_run(run, err))
            return err_wrap(err, "%.200s", all->source->names[i]);
    }
    all->unit = choose_unit(all, wanted);
    for (size_t i = 0; i < all->source->count; i++) {
        struct plot *run = &all->runs[i];
        const enum step_unit own = run->unit;
        if (own != all->unit && all->unit == STEP_UNIT_TOKENS)
            use_tokens(run);
        else if (own != all->unit)
            run->count = 0;
        if (!run->count)
            return err_set(err, ERR_INVALID,
                           "%.200s: its revisions count %s, and where they lie in %s is not known: leave it "
                           "out, or name another --unit",
                           all->source->names[i], step_unit_name(own), step_unit_name(all->unit));
    }
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int make_axis(struct comparison *all, struct err *err)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < all->source->count; i++)
        count += all->runs[i].count;
    double *places = calloc(count, sizeof *places);
    if (!places)
        return err_set(err, ERR_NO_MEMORY, "plot: out of memory");
    for (size_t i = 0; i < all->source->count; i++) {
        memcpy(places + at, all->runs[i].steps, all->runs[i].count * sizeof *places);
        at += all->runs[i].count;
    }
    qsort(places, count, sizeof *places, compare_numbers);
    all->sheet.axis = plot_axis_steps(places, count, !all->sheet.options->is_linear, PLOT_LEFT,
                                      all->sheet.options->width - PLOT_RIGHT / 1.6);
    free(places);
    return 0;
}

/* Which models, which contents under which names, so that a figure says what it was made of. */
static int digest_contents(const struct comparison *all, char hex[DIGEST_SHA256_HEX_SIZE], struct err *err)
{
    struct buf lines;
    buf_init(&lines, PLOT_BYTES_MAX);
    for (size_t i = 0; i < all->source->count; i++) {
        buf_appendf(&lines, "%s\n", all->source->names[i]);
        for (size_t k = 0; k < all->runs[i].count; k++)
            buf_appendf(&lines, "%s %s\n", member_text(all->runs[i].rows[k], "revision"),
                        member_text(all->runs[i].rows[k], "digest"));
    }
    int code = buf_check(&lines, "names of revisions", err);
    if (!code)
        code = digest_sha256_hex(buf_text(&lines), lines.size, hex, err);
    buf_free(&lines);
    return code;
}

/* -- Panels -- */

static int line_of(const struct comparison *all, enum plot_panel panel)
{
    return panel == PLOT_PANEL_PERPLEXITY ? all->score : 0;
}

/* Lowest and highest value of one line over all runs; whether there is any. */
static int find_range(const struct comparison *all, enum plot_panel panel, int k, double *low, double *high)
{
    *low = *high = (double)NAN;
    for (size_t i = 0; i < all->source->count; i++) {
        size_t at = 0;
        for (size_t r = 0; r < all->runs[i].count; r++) {
            double value = plot_lines_value(&all->runs[i], panel, k, r, &at);
            *low = fmin(*low, value);
            *high = fmax(*high, value);
        }
    }
    return !isnan(*low);
}

/* The kind of perplexity that the most runs have. */
static void choose_score(struct comparison *all)
{
    size_t most = 0;
    for (int k = 0; k < SCORES; k++) {
        size_t count = 0;
        for (size_t i = 0; i < all->source->count; i++) {
            size_t at = 0, r = 0;
            while (r < all->runs[i].count &&
                   isnan(plot_lines_value(&all->runs[i], PLOT_PANEL_PERPLEXITY, k, r, &at)))
                r++;
            count += r < all->runs[i].count;
        }
        all->score = count > most ? k : all->score;
        most = count > most ? count : most;
    }
}

/* Whether perplexities are of several sets of texts: then no two lines can be compared. */
static int has_other_texts(const struct comparison *all)
{
    const char *digest = "";
    for (size_t i = 0; i < all->source->count; i++) {
        size_t at = 0;
        for (size_t r = 0; r < all->runs[i].count; r++) {
            const char *own = member_text(all->runs[i].rows[r], score_digests[all->score]);
            if (isnan(plot_lines_value(&all->runs[i], PLOT_PANEL_PERPLEXITY, all->score, r, &at)) || !own[0])
                continue;
            if (digest[0] && strcmp(own, digest) != 0)
                return 1;
            digest = own;
        }
    }
    return 0;
}

static int choose_panels(const struct comparison *all, unsigned *ret_panels, struct err *err)
{
    const unsigned wanted = all->sheet.options->panels, standard = STANDARD_PANELS;
    double low, high;
    *ret_panels = 0;
    if (wanted & 1U << PLOT_PANEL_HEAT)
        return err_set(err, ERR_INVALID, "the panel \"heat\" is of one model; a figure of several has lines");
    for (int i = 0; i < PLOT_PANEL_COUNT; i++) {
        const enum plot_panel panel = (enum plot_panel)i;
        if (!((wanted ? wanted : standard) & 1U << i))
            continue;
        if (find_range(all, panel, line_of(all, panel), &low, &high))
            *ret_panels |= 1U << i;
        else if (wanted)
            return err_set(err, ERR_NOT_FOUND,
                           "nothing to show in a panel that is named: nothing of it is "
                           "measured of these models");
    }
    return *ret_panels ? 0 : err_set(err, ERR_NOT_FOUND, "nothing of these models is measured yet");
}

/* Where a run forked, on its line. */
static void draw_ring(struct comparison *all, size_t m, enum plot_panel panel, const struct plot_axis *values)
{
    const struct plot *run = &all->runs[m];
    const char *name = member_text(plot_onset(run), "revision");
    char class[16];
    size_t at = 0;
    for (size_t i = 0; i < run->count && name[0]; i++) {
        double value = plot_lines_value(run, panel, line_of(all, panel), i, &at);
        if (strcmp(member_text(run->rows[i], "revision"), name) != 0 || isnan(value))
            continue;
        (void)snprintf(class, sizeof class, "r%zu", m);
        svg_circle(all->sheet.svg, plot_axis_at(&all->sheet.axis, run->steps[i]), plot_axis_at(values, value),
                   RING, class);
        all->has_ring = 1;
    }
}

/* The points of a run's line; those that the analysis leaves out are hollow, and alone where there are many.
 */
static void draw_dots(struct comparison *all, size_t m, enum plot_panel panel, const struct plot_axis *values,
                      int are_many)
{
    const struct plot *run = &all->runs[m];
    char class[24];
    size_t at = 0, other = 0;
    for (size_t i = 0; i < run->count; i++) {
        double value = plot_lines_value(run, panel, line_of(all, panel), i, &at);
        int is_hollow = plot_is_left_out(run, i, &other);
        if (isnan(value) || (are_many && !is_hollow))
            continue;
        (void)snprintf(class, sizeof class, is_hollow ? "hollow0 h%zu" : "d%zu", m);
        svg_circle(all->sheet.svg, plot_axis_at(&all->sheet.axis, run->steps[i]), plot_axis_at(values, value),
                   is_hollow ? HOLLOW : 1.7, class);
        all->has_hollow |= is_hollow;
    }
}

static int draw_run(struct comparison *all, size_t m, enum plot_panel panel, const struct plot_axis *values,
                    struct err *err)
{
    const struct plot *run = &all->runs[m];
    struct svg_point *points = calloc(run->count, sizeof *points);
    char class[16];
    size_t count = 0, at = 0;
    if (!points)
        return err_set(err, ERR_NO_MEMORY, "plot: out of memory");
    for (size_t i = 0; i < run->count; i++) {
        double value = plot_lines_value(run, panel, line_of(all, panel), i, &at);
        if (!isnan(value))
            points[count++] = (struct svg_point){plot_axis_at(&all->sheet.axis, run->steps[i]),
                                                 plot_axis_at(values, value)};
    }
    (void)snprintf(class, sizeof class, "m%zu", m);
    svg_path(all->sheet.svg, points, count, class);
    free(points);
    draw_dots(all, m, panel, values, count > DOTS_MAX);
    return 0;
}

/* Three lines beside the present panel. */
static void draw_note(const struct plot *sheet, const char *const lines[3])
{
    for (int i = 0; i < 3; i++)
        svg_text(sheet->svg, sheet->axis.end + 6, sheet->top + 12 * (i + 1), "start", "small", lines[i]);
}

/* Of how many runs displacements start from the wrong weights. */
static size_t count_wrong_starts(const struct comparison *all)
{
    size_t count = 0;
    for (size_t m = 0; m < all->source->count; m++)
        count += (size_t)plot_starts_wrong(&all->runs[m]);
    return count;
}

static int draw_panel(struct comparison *all, enum plot_panel panel, struct err *err)
{
    const struct plot *sheet = &all->sheet;
    double low, high;
    size_t wrong;
    char text[32];
    int code = 0;
    (void)find_range(all, panel, line_of(all, panel), &low, &high);
    struct plot_axis values = plot_lines_values(sheet, panel, low, high);
    plot_draw_grid(sheet);
    plot_lines_draw_frame(sheet, panel, &values);
    for (size_t m = 0; m < all->source->count && !code; m++)
        code = draw_run(all, m, panel, &values, err);
    for (size_t m = 0; m < all->source->count && !code; m++)
        draw_ring(all, m, panel, &values);
    if (panel == PLOT_PANEL_PERPLEXITY && has_other_texts(all))
        draw_note(sheet, (const char *const[]){"of different", "texts: do not", "compare"});
    if (panel == PLOT_PANEL_DISPLACEMENT && (wrong = count_wrong_starts(all))) {
        (void)snprintf(text, sizeof text, "%zu from late", wrong);
        draw_note(sheet, (const char *const[]){text, "weights, not", "the first"});
    }
    return code;
}

/* -- All of it -- */

static int draw(struct comparison *all, enum step_unit unit, struct err *err)
{
    char contents[DIGEST_SHA256_HEX_SIZE] = "", title[64];
    struct plot *sheet = &all->sheet;
    unsigned panels = 0;
    int code = read_runs(all, unit, err);
    if (!code)
        code = make_axis(all, err);
    if (!code)
        code = digest_contents(all, contents, err);
    if (code)
        return code;
    choose_score(all);
    if ((code = choose_panels(all, &panels, err)))
        return code;
    plot_looks_choose(all->source->names, all->source->count, sheet->options->is_dark, all->looks);
    sheet->unit = all->unit;
    sheet->bottom = plot_compare_begin_sheet(all) - GAP;
    double height = sheet->bottom + FOOT_HEIGHT + (plot_is_narrow(sheet) ? PLOT_NOTE_HEIGHT : 0);
    for (int i = 0; i < PLOT_PANEL_COUNT; i++)
        height += panels & 1U << i ? PANEL_HEIGHT + GAP : 0;
    plot_compare_open_sheet(all, height, contents);
    for (int i = 0; i < PLOT_PANEL_COUNT && !code; i++) {
        if (!(panels & 1U << i))
            continue;
        sheet->top = sheet->bottom + GAP;
        sheet->bottom = sheet->top + PANEL_HEIGHT;
        code = draw_panel(all, (enum plot_panel)i, err);
    }
    (void)snprintf(title, sizeof title, "%s%s", plot_unit_title(all->unit),
                   sheet->options->is_linear ? "" : " (logarithmic)");
    plot_draw_ticks(sheet, title);
    (void)snprintf(title, sizeof title, "%s%s%s", all->has_ring ? "ring: onset of bifurcation" : "",
                   all->has_ring && all->has_hollow ? "; " : "",
                   all->has_hollow ? "hollow: repeated weights" : "");
    if (title[0])
        svg_text(sheet->svg, PLOT_LEFT, height - (plot_is_narrow(sheet) ? 19 : 6), "start", "small", title);
    buf_append_text(sheet->svg, "</svg>\n");
    return code ? code : buf_check(sheet->svg, "the figure", err);
}

int plot_compare_draw(const struct plot_compare_source *source, const struct plot_options *options,
                      enum step_unit unit, struct buf *svg, struct err *err)
{
    struct comparison all = {.source = source,
                             .sheet = {.source = &source->runs[0], .options = options, .svg = svg}};
    if (source->count > PLOT_MODELS_MAX)
        return err_set(err, ERR_LIMIT, "%zu models; a figure tells %d apart: name fewer", source->count,
                       PLOT_MODELS_MAX);
    all.runs = calloc(source->count, sizeof *all.runs);
    int code = all.runs ? draw(&all, unit, err) : err_set(err, ERR_NO_MEMORY, "plot: out of memory");
    for (size_t i = 0; i < source->count && all.runs; i++) {
        free(all.runs[i].rows);
        free(all.runs[i].steps);
    }
    free(all.runs);
    return code;
}
