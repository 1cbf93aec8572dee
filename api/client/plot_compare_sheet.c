#include "api/client/plot_compare_parts.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HEAD_HEIGHT 48 /* title and subtitle; the key follows, a line for as many names as fit */
#define KEY_HEIGHT 15
#define NAME_BYTES PLOT_COMPARE_NAME_BYTES
#define LETTER_WIDTH 5.8 /* pixels of a small letter, about */
#define SIGN_WIDTH 26    /* of a line in the key */

/* Of a long name the end. */
static void cut(const char *name, size_t size, char text[NAME_BYTES])
{
    const size_t most = NAME_BYTES - 4;
    const char *from = size > most ? name + size - most : name;
    while (((unsigned char)*from & 0xc0) == 0x80)
        from++; /* not within a character */
    (void)snprintf(text, NAME_BYTES, "%s%.*s", from == name ? "" : "\xe2\x80\xa6", (int)(name + size - from),
                   from);
}

static int are_apart(const struct comparison *all)
{
    for (size_t i = 0; i < all->source->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(all->names[k], all->names[i]) == 0)
                return 0;
        }
    }
    return 1;
}

/* How many whole folders' bytes two names have in common from their beginning, at most `most`. */
static size_t shared_begin(const char *a, const char *b, size_t most)
{
    size_t shared = 0;
    for (size_t i = 0; i < most && a[i] && a[i] == b[i]; i++)
        shared = a[i] == '/' ? i + 1 : shared;
    return shared;
}

/* The same at their ends, but not of what is before `begin`. */
static size_t shared_end(const char *a, const char *b, size_t begin, size_t most)
{
    const size_t a_size = strlen(a), b_size = strlen(b);
    size_t shared = 0;
    for (size_t i = 1;
         i <= most && begin + i < a_size && begin + i < b_size && a[a_size - i] == b[b_size - i]; i++)
        shared = a[a_size - i] == '/' ? i : shared;
    return shared;
}

/* The last parts of names; where these are not apart, the whole names; where the ends of these are not, what
 * lies between the folders that all have in common. */
static void shorten(struct comparison *all)
{
    const char *const *names = all->source->names;
    const size_t count = all->source->count;
    size_t begin = SIZE_MAX, end = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        const char *slash = strrchr(names[i], '/'), *last = slash && slash[1] ? slash + 1 : names[i];
        cut(last, strlen(last), all->names[i]);
    }
    if (are_apart(all))
        return;
    for (size_t i = 0; i < count; i++)
        cut(names[i], strlen(names[i]), all->names[i]);
    if (are_apart(all))
        return;
    for (size_t i = 1; i < count; i++)
        begin = shared_begin(names[0], names[i], begin);
    for (size_t i = 1; i < count; i++)
        end = shared_end(names[0], names[i], begin, end);
    for (size_t i = 0; i < count; i++)
        cut(names[i] + begin, strlen(names[i]) - begin - end, all->names[i]);
}

/* Bytes of the longest name in the key. */
static size_t longest(const struct comparison *all)
{
    size_t most = 0;
    for (size_t m = 0; m < all->source->count; m++)
        most = strlen(all->names[m]) > most ? strlen(all->names[m]) : most;
    return most;
}

/* How many lines the key has, and how wide each of its columns is. */
static size_t lines_of(const struct comparison *all, double *width)
{
    *width = SIGN_WIDTH + 6 + LETTER_WIDTH * (double)longest(all) + 12;
    const double room = all->sheet.options->width - PLOT_LEFT - 8 + 12;
    const size_t columns = room > *width ? (size_t)(room / *width) : 1;
    return (all->source->count + columns - 1) / columns;
}

/* The signs and names of the models, below each other in columns. */
static void draw_key(const struct comparison *all)
{
    double width;
    const size_t lines = lines_of(all, &width);
    for (size_t m = 0; m < all->source->count; m++) {
        const size_t column = m / lines, line = m % lines;
        const double x = PLOT_LEFT + width * (double)column;
        const double y = HEAD_HEIGHT + KEY_HEIGHT * (double)line + 8;
        char class[16];
        (void)snprintf(class, sizeof class, "m%zu", m);
        svg_line(all->sheet.svg, x, y - 3.5, x + SIGN_WIDTH, y - 3.5, class);
        svg_text(all->sheet.svg, x + SIGN_WIDTH + 6, y, "start", "small", all->names[m]);
    }
}

/* The tensor of all runs; "" where they differ. */
static const char *tensor_of(const struct comparison *all)
{
    const char *tensor = "";
    for (size_t i = 0; i < all->source->count; i++) {
        for (size_t k = 0; k < all->runs[i].count; k++) {
            const char *own = member_text(all->runs[i].rows[k], "tensor");
            if (own[0] && tensor[0] && strcmp(own, tensor) != 0)
                return "";
            tensor = own[0] ? own : tensor;
        }
    }
    return tensor;
}

static void describe(const struct comparison *all)
{
    struct buf *svg = all->sheet.svg;
    char place[STEP_UNIT_TEXT_SIZE];
    for (size_t i = 0; i < all->source->count; i++) {
        const struct plot *run = &all->runs[i];
        const json_t *onset = plot_onset(run);
        svg_append_escaped(svg, all->source->names[i]);
        buf_appendf(svg, ": %zu revisions", run->count);
        if (strcmp(member_text(onset, "verdict"), "yes") == 0) {
            step_unit_write_place(run->unit, member_number(onset, "step"), place);
            buf_appendf(svg, ", onset of bifurcation at %s", place);
        }
        buf_append_text(svg, ".\n");
    }
}

static void open_document(const struct comparison *all, double height, const char *contents)
{
    const struct plot *sheet = &all->sheet;
    struct buf *svg = sheet->svg;
    plot_begin_document(sheet, height);
    buf_appendf(svg, "%zu models over training</title>\n<desc id=\"description\">", all->source->count);
    describe(all);
    buf_append_text(svg, "</desc>\n<metadata><figure xmlns=\"urn:bifurcated:figure\" kind=\"comparison\"");
    plot_append_attribute(svg, "tensor", tensor_of(all));
    plot_append_attribute(svg, "rows", sheet->options->is_tokens ? "tokens" : "all");
    plot_append_attribute(svg, "view", sheet->options->is_centred ? "centred" : "raw");
    plot_append_attribute(svg, "unit", step_unit_name(all->unit));
    plot_append_attribute(svg, "contents", contents);
    buf_appendf(svg, " program=\"bifurcate %s\">", BIFURCATED_VERSION);
    for (size_t i = 0; i < all->source->count; i++) {
        buf_append_text(svg, "<run");
        plot_append_attribute(svg, "model", all->source->names[i]);
        plot_append_attribute(svg, "reference", member_text(all->source->runs[i].analysis, "reference"));
        buf_append_text(svg, "/>");
    }
    buf_append_text(svg, "</figure></metadata>\n");
    plot_append_style(sheet, height);
    buf_append_text(svg, "<style>");
    for (size_t i = 0; i < all->source->count; i++) {
        const char *dashes = plot_look_dashes(&all->looks[i]);
        buf_appendf(svg, ".m%zu,.r%zu{stroke:%s;fill:none;stroke-width:1.4}.h%zu{stroke:%s}.d%zu{fill:%s}", i,
                    i, all->looks[i].colour, i, all->looks[i].colour, i, all->looks[i].colour);
        if (dashes)
            buf_appendf(svg, ".m%zu{stroke-dasharray:%s}", i, dashes);
    }
    buf_append_text(svg, "</style>\n");
}

static void draw_head(const struct comparison *all, double height, const char *contents)
{
    const struct plot *sheet = &all->sheet;
    const char *tensor = tensor_of(all);
    char line[320];
    (void)snprintf(line, sizeof line, "%zu models over training", all->source->count);
    svg_text(sheet->svg, PLOT_LEFT, 22, "start", "title", line);
    (void)snprintf(line, sizeof line, "%.200s%s%s, %s", tensor, tensor[0] ? ", " : "",
                   sheet->options->is_tokens ? "token rows" : "all rows",
                   sheet->options->is_centred ? "around column means" : "as stored");
    svg_text(sheet->svg, PLOT_LEFT, 37, "start", "muted", line);
    draw_key(all);
    plot_draw_source(sheet, height, contents);
}

double plot_compare_begin_sheet(struct comparison *all)
{
    double width;
    shorten(all);
    return HEAD_HEIGHT + KEY_HEIGHT * (double)lines_of(all, &width) + 2;
}

void plot_compare_open_sheet(const struct comparison *all, double height, const char *contents)
{
    open_document(all, height, contents);
    draw_head(all, height, contents);
}
