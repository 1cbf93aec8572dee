#include "api/client/plot.h"

#include "api/client/plot_parts.h"
#include "daemon/base/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_HEIGHT 72 /* title, subtitle and the names of the marks */
#define FOOT_HEIGHT 46 /* ticks and title of the steps' axis, and where the figure comes from */
#define GAP 12

static const struct {
    const char *name, *group;
} panels[PLOT_PANEL_COUNT] = {
#define X(symbol, name, group) {name, group},
    PLOT_PANELS(X)
#undef X
};

#define STANDARD_PANELS                                                                                      \
    (1U << PLOT_PANEL_HEAT | 1U << PLOT_PANEL_DISPLACEMENT | 1U << PLOT_PANEL_DIP |                          \
     1U << PLOT_PANEL_ASHMAN | 1U << PLOT_PANEL_PERPLEXITY)

/* -- Names -- */

int plot_panels_parse(const char *names, unsigned *ret_panels, struct err *err)
{
    unsigned chosen = 0;
    for (const char *name = names;; name++) {
        size_t length = strcspn(name, ",");
        unsigned found = 0;
        for (int i = 0; i < PLOT_PANEL_COUNT; i++) {
            const char *group = panels[i].group ? panels[i].group : "";
            if ((strlen(panels[i].name) == length && memcmp(panels[i].name, name, length) == 0) ||
                (length && strlen(group) == length && memcmp(group, name, length) == 0))
                found |= 1U << i;
        }
        if (!found)
            return err_set(
                err, ERR_INVALID,
                "there is no panel \"%.*s\"; there are heat, displacement, bimodality (dip, ashman), "
                "valley, coefficient and perplexity",
                length < 60 ? (int)length : 60, name);
        chosen |= found;
        name += length;
        if (!*name)
            break;
    }
    *ret_panels = chosen;
    return 0;
}

void plot_statistic(const struct plot_options *options, const char *name, char *column, size_t size)
{
    (void)snprintf(column, size, "%s%s%s", options->is_tokens ? "tokens_" : "",
                   options->is_centred ? "centred_" : "", name);
}

void plot_displacement(const struct plot_options *options, const char *name, char *column, size_t size)
{
    (void)snprintf(column, size, "%s%s", options->is_tokens ? "tokens_" : "", name);
}

void plot_columns(const struct plot_options *options, struct buf *columns)
{
    static const char *const statistics[] = {"dip", "ashman_d", "valley_to_peak", "bimodality"};
    static const char *const displacements[] = {"msd", "lag1_msd"};
    char column[64];
    buf_append_text(columns, "revision,step,digest,tensor,definition,reference,perplexity,perplexity_stderr,"
                             "pooled_perplexity,pooled_perplexity_stderr,text_mean_perplexity,"
                             "text_mean_perplexity_stderr");
    for (size_t i = 0; i < sizeof statistics / sizeof statistics[0]; i++) {
        plot_statistic(options, statistics[i], column, sizeof column);
        buf_appendf(columns, ",%s", column);
    }
    for (size_t i = 0; i < sizeof displacements / sizeof displacements[0]; i++) {
        plot_displacement(options, displacements[i], column, sizeof column);
        buf_appendf(columns, ",%s", column);
    }
}

const char *plot_unit_title(enum step_unit unit)
{
    static const char *const titles[STEP_UNIT_COUNT] = {
        [STEP_UNIT_STEPS] = "training step",    [STEP_UNIT_TOKENS] = "training tokens",
        [STEP_UNIT_WORDS] = "training words",   [STEP_UNIT_EPOCHS] = "epoch",
        [STEP_UNIT_CHECKPOINTS] = "checkpoint",
    };
    return titles[unit];
}

const json_t *plot_onset(const struct plot *plot)
{
    const json_t *onset;
    size_t i;
    json_array_foreach(json_object_get(plot->source->analysis, "onsets"), i, onset)
    {
        if (strcmp(member_text(onset, "rows"), plot->options->is_tokens ? "tokens" : "all") == 0 &&
            strcmp(member_text(onset, "view"), plot->options->is_centred ? "centred" : "raw") == 0)
            return onset;
    }
    return NULL;
}

/* -- The run -- */

/* Whether any value of a row can be drawn. */
static int has_values(json_t *row)
{
    const char *key;
    json_t *value;
    json_object_foreach(row, key, value)
    {
        if (strcmp(key, "step") != 0 && strcmp(key, "definition") != 0 && json_is_number(value))
            return 1;
    }
    return 0;
}

int plot_read_run(struct plot *plot, struct err *err)
{
    const json_t *rows = json_object_get(plot->source->series, "revisions");
    json_t *row;
    size_t size = json_array_size(rows), i;
    plot->unit = step_unit_find(member_text(plot->source->series, "step_unit"));
    if (size > PLOT_REVISIONS_MAX)
        return err_set(err, ERR_LIMIT, "%zu revisions; a figure holds %d: choose some with --from and --to",
                       size, PLOT_REVISIONS_MAX);
    plot->rows = calloc(size + 1, sizeof(json_t *));
    plot->steps = calloc(size + 1, sizeof *plot->steps);
    if (!plot->rows || !plot->steps)
        return err_set(err, ERR_NO_MEMORY, "plot: out of memory");
    json_array_foreach(rows, i, row)
    {
        double step = member_number(row, "step");
        int is_next = step >= 0 && (plot->count == 0 || step > plot->steps[plot->count - 1]);
        if (!is_next || !has_values(row))
            continue;
        plot->rows[plot->count] = row;
        plot->steps[plot->count++] = step;
    }
    if (plot->count == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "nothing of this run is measured yet, or not between these steps; `bifurcate sweep "
                       "MODEL --follow` measures it");
    return 0;
}

/* A digest of which contents are shown under which names, so that a figure says what it was made of. */
static int digest_contents(const struct plot *plot, char hex[DIGEST_SHA256_HEX_SIZE], struct err *err)
{
    struct buf lines;
    buf_init(&lines, PLOT_BYTES_MAX);
    for (size_t i = 0; i < plot->count; i++)
        buf_appendf(&lines, "%s %s\n", member_text(plot->rows[i], "revision"),
                    member_text(plot->rows[i], "digest"));
    int code = buf_check(&lines, "names of revisions", err);
    if (!code)
        code = digest_sha256_hex(buf_text(&lines), lines.size, hex, err);
    buf_free(&lines);
    return code;
}

/* -- Panels -- */

static int draw_panel(struct plot *plot, enum plot_panel panel, int is_first, struct err *err)
{
    int code = 0;
    plot_draw_grid(plot);
    if (panel == PLOT_PANEL_HEAT)
        plot_heat_draw(plot);
    else
        code = plot_lines_draw(plot, panel, err);
    plot_draw_marks(plot, is_first);
    return code;
}

/* Which panels are drawn: those that are named must have data, of the standard ones those that do. */
static int choose_panels(const struct plot *plot, unsigned *ret_panels, struct err *err)
{
    unsigned wanted = plot->options->panels ? plot->options->panels : STANDARD_PANELS, chosen = 0;
    for (int i = 0; i < PLOT_PANEL_COUNT; i++) {
        int is_there =
            i == PLOT_PANEL_HEAT ? plot_heat_is_there(plot) : plot_lines_is_there(plot, (enum plot_panel)i);
        if (!(wanted & 1U << i))
            continue;
        if (is_there)
            chosen |= 1U << i;
        else if (plot->options->panels)
            return err_set(err, ERR_NOT_FOUND, "nothing to show in the panel \"%s\"%s", panels[i].name,
                           i == PLOT_PANEL_PERPLEXITY
                               ? ": measure it with `bifurcate sweep MODEL --metric perplexity`"
                               : "");
    }
    *ret_panels = chosen;
    return 0;
}

static double height_of(enum plot_panel panel)
{
    return panel == PLOT_PANEL_HEAT ? PLOT_HEAT_HEIGHT : PLOT_LINES_HEIGHT;
}

static int draw(struct plot *plot, struct err *err)
{
    char contents[DIGEST_SHA256_HEX_SIZE] = "", title[64];
    unsigned chosen = 0;
    double height = HEAD_HEIGHT + FOOT_HEIGHT - GAP;
    int is_first = 1;
    int code = plot_read_run(plot, err);
    if (!code)
        code = digest_contents(plot, contents, err);
    if (code)
        return code;
    plot->axis = plot_axis_steps(plot->steps, plot->count, !plot->options->is_linear, PLOT_LEFT,
                                 plot->options->width - PLOT_RIGHT);
    code = choose_panels(plot, &chosen, err);
    if (plot_is_narrow(plot))
        height += PLOT_NOTE_HEIGHT;
    for (int i = 0; i < PLOT_PANEL_COUNT; i++)
        height += chosen & 1U << i ? height_of((enum plot_panel)i) + GAP : 0;
    plot_open_document(plot, height, contents);
    plot_draw_head(plot, height, contents);
    plot->bottom = HEAD_HEIGHT - GAP;
    for (int i = 0; i < PLOT_PANEL_COUNT && !code; i++) {
        if (!(chosen & 1U << i))
            continue;
        plot->top = plot->bottom + GAP;
        plot->bottom = plot->top + height_of((enum plot_panel)i);
        code = draw_panel(plot, (enum plot_panel)i, is_first, err);
        is_first = 0;
    }
    (void)snprintf(title, sizeof title, "%s%s", plot_unit_title(plot->unit),
                   plot->options->is_linear ? "" : " (logarithmic)");
    plot_draw_ticks(plot, title);
    buf_append_text(plot->svg, "</svg>\n");
    return code ? code : buf_check(plot->svg, "the figure", err);
}

int plot_draw(const struct plot_source *source, const struct plot_options *options, struct buf *svg,
              struct err *err)
{
    struct plot plot = {.source = source, .options = options, .svg = svg};
    int code = draw(&plot, err);
    free(plot.rows);
    free(plot.steps);
    return code;
}
