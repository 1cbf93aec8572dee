#include "api/client/commands.h"

#include "api/client/member.h"
#include "api/client/model_name.h"
#include "api/client/models_named.h"
#include "api/client/pages.h"
#include "api/client/plot.h"
#include "api/client/plot_compare.h"
#include "api/client/plot_scaling.h"
#include "daemon/base/limits.h"
#include "daemon/base/step_unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define BINS 160
#define WIDTH_STANDARD 760

/* The documents of a figure. */
struct documents {
    json_t *distribution, *series, *analysis;
};

/* Whether an option names the second of two choices; where it is missing, that stays. */
static int choose(const struct client_arguments *arguments, enum client_option option, const char *first,
                  const char *second, int *ret_is_second, struct err *err)
{
    const char *value = arguments->values[option];
    if (value)
        *ret_is_second = strcmp(value, second) == 0;
    if (!value || *ret_is_second || strcmp(value, first) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "\"%.40s\" is neither %s nor %s", value, first, second);
}

/* Whether the figure is of all models: no model is called so. */
static int is_of_suite(const struct client_arguments *arguments)
{
    return arguments->word_count == 1 && strcmp(arguments->words[0], "scaling") == 0;
}

/* Whether the figure has a line for each of several models. */
static int is_of_several(const struct client_arguments *arguments)
{
    return arguments->word_count != 1;
}

/* Refuses options of other kinds of figures. */
static int check_kind(const struct client_arguments *arguments, struct err *err)
{
    static const enum client_option of_runs[] = {CLIENT_OPTION_AXIS, CLIENT_OPTION_PANELS, CLIENT_OPTION_FROM,
                                                 CLIENT_OPTION_TO};
    if (!is_of_suite(arguments)) {
        if (arguments->values[CLIENT_OPTION_UNIT] && !is_of_several(arguments))
            return err_set(err, ERR_INVALID,
                           "--unit is for figures of several models, and `bifurcate plot scaling`");
        return client_models_check(arguments, err);
    }
    for (size_t i = 0; i < sizeof of_runs / sizeof of_runs[0]; i++) {
        if (arguments->values[of_runs[i]])
            return err_set(err, ERR_INVALID, "--%s is for `bifurcate plot MODEL`",
                           client_options[of_runs[i]].name);
    }
    return 0;
}

static int read_options(const struct client_arguments *arguments, struct plot_options *options,
                        struct err *err)
{
    const int is_suite = is_of_suite(arguments);
    const char *width = arguments->values[CLIENT_OPTION_WIDTH],
               *panels = arguments->values[CLIENT_OPTION_PANELS];
    *options = (struct plot_options){.width = WIDTH_STANDARD,
                                     .is_tokens = 1, /* what is judged is what is seen */
                                     .is_centred = 1,
                                     .is_dark = arguments->values[CLIENT_OPTION_DARK] != NULL};
    int code = check_kind(arguments, err);
    if (!code)
        code = choose(arguments, CLIENT_OPTION_ROWS, "all", "tokens", &options->is_tokens, err);
    if (!code)
        code = choose(arguments, CLIENT_OPTION_VIEW, "raw", "centred", &options->is_centred, err);
    if (!code)
        code = choose(arguments, CLIENT_OPTION_AXIS, "log", "linear", &options->is_linear, err);
    if (!code && (arguments->values[CLIENT_OPTION_CSV] || arguments->values[CLIENT_OPTION_JSON]))
        code = err_set(err, ERR_INVALID,
                       "plot prints SVG; the numbers are those of `bifurcate %s --csv` or --json",
                       is_suite ? "scaling" : "series MODEL");
    if (!code && panels)
        code = plot_panels_parse(panels, &options->panels, err);
    if (!code && width) {
        char *end = NULL;
        options->width = strtod(width, &end);
        if (end == width || *end || !(options->width >= PLOT_WIDTH_MIN && options->width <= PLOT_WIDTH_MAX))
            code = err_set(err, ERR_INVALID, "--width: \"%.40s\" is not a number from %d to %d", width,
                           PLOT_WIDTH_MIN, PLOT_WIDTH_MAX);
    }
    return code;
}

/* GET of a resource of the model; `key` is its list, of which all pages are read, or NULL. */
static int fetch(struct client_link *link, const struct client_arguments *arguments, const char *model,
                 const char *resource, const char *key, json_t **ret_document, struct err *err)
{
    struct buf target;
    buf_init(&target, 2 * LIMIT_URL_BYTES);
    int code = client_model_target(&target, model, err);
    buf_append_text(&target, resource);
    client_link_append(&target, "tensor", arguments->values[CLIENT_OPTION_TENSOR]);
    if (!code)
        code = buf_check(&target, "URL", err);
    if (!code)
        code = key ? pages_get(link, buf_text(&target), key, ret_document, err)
                   : client_link_get(link, buf_text(&target), ret_document, err);
    buf_free(&target);
    return code;
}

/* A figure of a tensor that was named shows it. */
static int check_tensor(const struct client_arguments *arguments, const char *model, const json_t *series,
                        struct err *err)
{
    const char *tensor = arguments->values[CLIENT_OPTION_TENSOR];
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(series, "revisions"), i, row)
    {
        if (!tensor || json_is_string(json_object_get(row, "tensor")))
            return 0;
    }
    return tensor
               ? err_set(err, ERR_NOT_FOUND,
                         "nothing of the tensor %.200s is measured, or not between these steps; `bifurcate "
                         "sweep %.200s --tensor %.200s` measures it",
                         tensor, model, tensor)
               : 0;
}

static int fetch_analysis(struct client_link *link, const struct client_arguments *arguments,
                          const char *model, struct documents *documents, struct err *err)
{
    int code = fetch(link, arguments, model, "/analysis", NULL, &documents->analysis, err);
    return client_check_model(link, model, code, 0, err);
}

/* The series with the columns. */
static int fetch_series(struct client_link *link, const struct client_arguments *arguments, const char *model,
                        const char *columns, struct documents *documents, struct err *err)
{
    struct buf resource;
    buf_init(&resource, LIMIT_URL_BYTES);
    buf_appendf(&resource, "/revisions?limit=1000&fields=%s", columns);
    client_link_append(&resource, "from", arguments->values[CLIENT_OPTION_FROM]);
    client_link_append(&resource, "to", arguments->values[CLIENT_OPTION_TO]);
    int code = buf_check(&resource, "URL", err);
    if (!code)
        code = fetch(link, arguments, model, buf_text(&resource), "revisions", &documents->series, err);
    code = client_check_model(link, model, code,
                              json_array_size(json_object_get(documents->series, "revisions")) == 0, err);
    if (!code)
        code = check_tensor(arguments, model, documents->series, err);
    buf_free(&resource);
    return code;
}

static int fetch_distribution(struct client_link *link, const struct client_arguments *arguments,
                              const struct plot_options *options, struct documents *documents,
                              struct err *err)
{
    char resource[96];
    (void)snprintf(resource, sizeof resource, "/distribution?bins=%d&rows=%s&view=%s", BINS,
                   options->is_tokens ? "tokens" : "all", options->is_centred ? "centred" : "raw");
    return fetch(link, arguments, arguments->words[0], resource, "revisions", &documents->distribution, err);
}

/* The onset against model size; of one view if the arguments name it, else of both. */
static int draw_suite(struct client_link *link, const struct client_arguments *arguments,
                      const struct plot_options *options, struct buf *svg, struct err *err)
{
    static const char *const views[PLOT_SCALING_VIEWS] = {"raw", "centred"};
    const char *wanted = arguments->values[CLIENT_OPTION_VIEW];
    json_t *documents[PLOT_SCALING_VIEWS] = {NULL};
    int code = 0;
    for (int i = 0; i < PLOT_SCALING_VIEWS && !code; i++) {
        struct buf target;
        if (wanted && strcmp(wanted, views[i]) != 0)
            continue;
        buf_init(&target, LIMIT_URL_BYTES);
        buf_appendf(&target, "/v1/scaling?rows=%s&view=%s", options->is_tokens ? "tokens" : "all", views[i]);
        client_link_append(&target, "prefix", arguments->values[CLIENT_OPTION_PREFIX]);
        client_link_append(&target, "unit", arguments->values[CLIENT_OPTION_UNIT]);
        client_link_append(&target, "tensor", arguments->values[CLIENT_OPTION_TENSOR]);
        code = buf_check(&target, "URL", err);
        if (!code)
            code = client_link_get(link, buf_text(&target), &documents[i], err);
        buf_free(&target);
    }
    if (!code)
        code =
            plot_scaling_draw(&(struct plot_scaling_source){{documents[0], documents[1]}}, options, svg, err);
    for (int i = 0; i < PLOT_SCALING_VIEWS; i++)
        json_decref(documents[i]);
    return code;
}

static void free_documents(struct documents *documents)
{
    json_decref(documents->distribution);
    json_decref(documents->series);
    json_decref(documents->analysis);
}

/* Without --view, that of the onset which the analysis goes by. */
static int draw_run(struct client_link *link, const struct client_arguments *arguments,
                    const struct plot_options *asked, struct buf *svg, struct err *err)
{
    struct plot_options shown = *asked, *options = &shown;
    struct documents documents = {0};
    struct buf columns;
    buf_init(&columns, LIMIT_URL_BYTES);
    int code = fetch_analysis(link, arguments, arguments->words[0], &documents, err);
    if (!code && !arguments->values[CLIENT_OPTION_VIEW])
        shown.is_centred = strcmp(member_text(documents.analysis, "onset_view"), "raw") != 0;
    plot_columns(options, &columns);
    if (!code)
        code = fetch_series(link, arguments, arguments->words[0], buf_text(&columns), &documents, err);
    if (!code)
        code = fetch_distribution(link, arguments, options, &documents, err);
    if (!code) {
        (void)client_note_damaged(documents.distribution);
        struct plot_source source = {documents.distribution, documents.series, documents.analysis};
        code = plot_draw(&source, options, svg, err);
    }
    buf_free(&columns);
    free_documents(&documents);
    return code;
}

static int read_unit(const struct client_arguments *arguments, enum step_unit *ret_unit, struct err *err)
{
    const char *name = arguments->values[CLIENT_OPTION_UNIT];
    *ret_unit = STEP_UNIT_COUNT;
    for (int i = 0; i < STEP_UNIT_COUNT && name; i++) {
        if (strcmp(step_unit_name((enum step_unit)i), name) == 0)
            *ret_unit = (enum step_unit)i;
    }
    return name && *ret_unit == STEP_UNIT_COUNT
               ? err_set(err, ERR_INVALID,
                         "--unit: \"%.40s\" is none of tokens, steps, words, epochs and checkpoints", name)
               : 0;
}

/* A line for each model; without --unit, over steps where the names of all count these, else over tokens. */
static int draw_several(struct client_link *link, const struct client_arguments *arguments,
                        const struct plot_options *options, struct buf *svg, struct err *err)
{
    struct documents documents[PLOT_MODELS_MAX] = {{0}};
    struct plot_source runs[PLOT_MODELS_MAX];
    const char *names[PLOT_MODELS_MAX];
    struct client_models models;
    struct buf columns;
    enum step_unit unit;
    int code = read_unit(arguments, &unit, err);
    if (code)
        return code;
    code = client_models_find(arguments, link, &models, err);
    if (!code && models.count > PLOT_MODELS_MAX)
        code = err_set(err, ERR_INVALID, "%zu models; a figure tells %d apart: name fewer", models.count,
                       PLOT_MODELS_MAX);
    buf_init(&columns, LIMIT_URL_BYTES);
    plot_compare_columns(options, &columns);
    for (size_t i = 0; i < models.count && !code; i++) {
        code = fetch_series(link, arguments, models.names[i], buf_text(&columns), &documents[i], err);
        if (!code)
            code = fetch_analysis(link, arguments, models.names[i], &documents[i], err);
        runs[i] = (struct plot_source){NULL, documents[i].series, documents[i].analysis};
        const char *name = json_string_value(json_object_get(documents[i].series, "model"));
        names[i] = name ? name : models.names[i];
    }
    if (!code) {
        const struct plot_compare_source source = {models.count, names, runs};
        code = plot_compare_draw(&source, options, unit, svg, err);
    }
    for (size_t i = 0; i < PLOT_MODELS_MAX; i++)
        free_documents(&documents[i]);
    buf_free(&columns);
    client_models_free(&models);
    return code;
}

/* Writes the figure to an open file, and closes it; without a file, errno says why. */
static int write_file(const struct buf *svg, FILE *file, const char *name, struct err *err)
{
    int code = 0;
    if (!file)
        return err_set(err, ERR_IO, "%s cannot be written: %s", name, strerror(errno));
    if (fwrite(buf_text(svg), 1, svg->size, file) != svg->size)
        code = err_set(err, ERR_IO, "%s: writing failed: %s", name, strerror(errno));
    if (fclose(file) != 0 && !code)
        code = err_set(err, ERR_IO, "%s: writing failed: %s", name, strerror(errno));
    return code;
}

/* Makes a file of a name that nobody has, with the mode of any new file; NULL with errno. */
static FILE *open_beside(char *path)
{
    int fd = mkstemp(path);
    if (fd < 0)
        return NULL;
    mode_t mask = umask(0);
    (void)umask(mask);
    (void)fchmod(fd, 0666 & ~mask);
    FILE *file = fdopen(fd, "wb");
    if (!file)
        (void)close(fd);
    return file;
}

/* Writes beside the file first, so that a full disk leaves no half of a figure under its name. */
static int replace_file(const struct buf *svg, const char *name, struct err *err)
{
    struct buf part;
    buf_init(&part, strlen(name) + 16);
    buf_appendf(&part, "%s.XXXXXX", name);
    int code = buf_check(&part, "name of the figure", err);
    if (!code) {
        FILE *file = open_beside(part.data);
        int is_made = file != NULL;
        code = write_file(svg, file, name, err);
        if (!code && rename(buf_text(&part), name) != 0)
            code = err_set(err, ERR_IO, "%s cannot be written: %s", name, strerror(errno));
        if (code && is_made)
            (void)remove(buf_text(&part));
    }
    buf_free(&part);
    return code;
}

/* A viewer of pictures goes by the name. */
static int check_name(const char *name, struct err *err)
{
    static const char *const others[] = {".png", ".pdf", ".jpg", ".jpeg", ".eps", ".ps", ".webp", ".gif"};
    const char *dot = name ? strrchr(name, '.') : NULL;
    for (size_t i = 0; dot && i < sizeof others / sizeof others[0]; i++) {
        if (strcasecmp(dot, others[i]) == 0)
            return err_set(err, ERR_INVALID,
                           "--output %.200s: figures are SVG: name a file .svg, of which rsvg-convert or "
                           "Inkscape makes PNG or PDF",
                           name);
    }
    return 0;
}

static int write_figure(const struct buf *svg, const char *name, struct err *err)
{
    struct stat info;
    if (!name && isatty(STDOUT_FILENO))
        return err_set(err, ERR_INVALID, "a figure is not for a terminal: name a file, -o forking.svg");
    if (!name || strcmp(name, "-") == 0) {
        (void)fwrite(buf_text(svg), 1, svg->size, stdout);
        return 0; /* what fails is reported when standard output is closed */
    }
    /* A device or a pipe (/dev/null, /dev/stdout) is written to: as root, a file could take its place. */
    int is_special = stat(name, &info) == 0 && !S_ISREG(info.st_mode);
    int code = is_special ? write_file(svg, fopen(name, "wb"), name, err) : replace_file(svg, name, err);
    if (!code && isatty(STDERR_FILENO))
        (void)fprintf(stderr, "%s is written (%zu kB)\n", name, svg->size / 1000);
    return code;
}

int client_run_plot(const struct client_arguments *arguments)
{
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    struct plot_options options;
    struct buf svg;
    buf_init(&svg, PLOT_BYTES_MAX);
    int code = read_options(arguments, &options, &err);
    if (!code)
        code = check_name(arguments->values[CLIENT_OPTION_OUTPUT], &err);
    if (!code)
        code = client_link_open(arguments, &link, &err);
    if (!code)
        code = (is_of_suite(arguments)     ? draw_suite
                : is_of_several(arguments) ? draw_several
                                           : draw_run)(link, arguments, &options, &svg, &err);
    if (!code)
        code = write_figure(&svg, arguments->values[CLIENT_OPTION_OUTPUT], &err);
    client_link_close(link);
    buf_free(&svg);
    return code ? client_report(&err) : CLIENT_EXIT_DONE;
}
