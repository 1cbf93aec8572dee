#include "api/client/commands.h"

#include "api/client/terminal.h"
#include "daemon/base/limits.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define WIDTH 92    /* of a line, where the terminal is not narrower */
#define TEXT_MIN 32 /* of it for the text beside its head, else it stands below */
#define INDENT_BELOW 4

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static int64_t integer_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static double real_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static int has(const json_t *object, const char *key)
{
    return json_is_number(json_object_get(object, key));
}

/* Prints `text` after `head`, broken between words; further lines begin under the text. */
static void print_wrapped(const char *head, size_t indent, const char *text)
{
    size_t at = strlen(head), width = client_terminal_width(stdout);
    width = width && width < WIDTH ? width : WIDTH;
    if (indent + TEXT_MIN > width) {
        while (at && head[at - 1] == ' ')
            at--;
        (void)printf("%.*s\n", (int)at, head);
        indent = INDENT_BELOW;
        head = "";
        at = 0;
    }
    (void)printf("%s%*s", head, at < indent ? (int)(indent - at) : 0, "");
    at = at < indent ? indent : at;
    for (int is_first = 1; *text; is_first = 0) {
        size_t length = strcspn(text, " ");
        if (!is_first && at + 1 + length > width) {
            (void)printf("\n%*s", (int)indent, "");
            at = indent;
        } else if (!is_first) {
            (void)putchar(' ');
            at++;
        }
        (void)printf("%.*s", (int)length, text);
        at += length;
        text += length;
        text += strspn(text, " ");
    }
    (void)putchar('\n');
}

/* Whole, unless a terminal would break it anywhere. Takes the reference. */
static void print_line(json_t *line)
{
    const char *text = json_string_value(line);
    if (text && client_terminal_width(stdout))
        print_wrapped("", 0, text);
    else if (text)
        (void)puts(text);
    json_decref(line);
}

struct parameter {
    const char *name;
    enum client_option option;
};

/* GET of a resource of the model (NULL: `path` is whole), with those options as parameters that are given;
 * prints it with `print`, or as it is for --json. */
static int run(const struct client_arguments *arguments, const char *model, const char *path,
               const struct parameter *parameters, size_t parameter_count,
               void (*print)(const json_t *document))
{
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    struct buf target;
    json_t *document = NULL;
    buf_init(&target, 2 * LIMIT_URL_BYTES);
    int code = client_link_open(arguments, &link, &err);
    if (!code && model)
        code = client_link_model(&target, model, &err);
    buf_append_text(&target, path);
    for (size_t i = 0; i < parameter_count; i++)
        client_link_append(&target, parameters[i].name, arguments->values[parameters[i].option]);
    if (!code)
        code = buf_check(&target, "URL", &err);
    if (!code)
        code = client_link_get(link, buf_text(&target), &document, &err);
    if (!code && model && !json_is_string(json_object_get(document, "model")))
        code = err_set(&err, ERR_FORMAT, "%s%s: the answer names no model; is it a bifurcated?",
                       client_link_server(link), buf_text(&target));
    if (link && model)
        code = client_check_model(link, model, code, integer_of(document, "revisions_known") == 0, &err);
    if (!code && arguments->values[CLIENT_OPTION_JSON])
        client_print_json(document);
    else if (!code)
        print(document);
    json_decref(document);
    buf_free(&target);
    client_link_close(link);
    return code ? client_report(&err) : CLIENT_EXIT_DONE;
}

/* -- analyze -- */

static const char *verdict_of(const json_t *part)
{
    const char *verdict = text_of(part, "verdict");
    return strcmp(verdict, "insufficient") == 0 ? "not enough data" : verdict;
}

static void print_verdict(const char *title, const json_t *part)
{
    char head[64], text[1024];
    (void)snprintf(head, sizeof head, "  %-34s", title);
    (void)snprintf(text, sizeof text, "%s: %s", verdict_of(part), text_of(part, "reason"));
    print_wrapped(head, 36, text);
}

static void print_onset(const json_t *onset)
{
    char title[64], head[64], text[1024], where[128] = "";
    int is_tokens = strcmp(text_of(onset, "rows"), "tokens") == 0;
    int is_centred = strcmp(text_of(onset, "view"), "centred") == 0;
    (void)snprintf(title, sizeof title, "%s, %s", is_tokens ? "token rows" : "all rows",
                   is_centred ? "around column means" : "as stored");
    if (has(onset, "step") && has(onset, "step_before"))
        (void)snprintf(where, sizeof where, ", after step %.0f", real_of(onset, "step_before"));
    else if (has(onset, "step"))
        (void)snprintf(where, sizeof where, ", already at the first revision of its own");
    (void)snprintf(head, sizeof head, "  %-34s", title);
    (void)snprintf(text, sizeof text, "%s%s: %s", verdict_of(onset), where, text_of(onset, "reason"));
    print_wrapped(head, 36, text);
}

static void print_schedule(const json_t *schedule)
{
    char text[512], stable[64] = "";
    if (json_is_number(json_object_get(schedule, "stable")))
        (void)snprintf(stable, sizeof stable, ", steady to step %.0f", real_of(schedule, "stable"));
    if (strcmp(text_of(schedule, "kind"), "unknown") == 0)
        (void)snprintf(text, sizeof text,
                       "unknown: whatever compares with it is left out; name it with --schedule, --peak, "
                       "--floor, --warmup, --stable, --total and --decay");
    else
        (void)snprintf(text, sizeof text,
                       "%s (%s), peak %g, floor %g, %.0f steps of warm-up%s, %.0f steps, weight decay %g",
                       text_of(schedule, "kind"),
                       strcmp(text_of(schedule, "source"), "query") == 0 ? "as given" : "built in",
                       real_of(schedule, "peak"), real_of(schedule, "floor"), real_of(schedule, "warmup"),
                       stable, real_of(schedule, "total"), real_of(schedule, "decay"));
    print_wrapped("Learning rate: ", 2, text);
}

static void print_stop(const json_t *stop)
{
    const json_t *caution;
    size_t i;
    char text[512];
    print_verdict("recommendation", stop);
    if (has(stop, "perplexity") && has(stop, "given_up") && has(stop, "step")) {
        double change = 100 * expm1(real_of(stop, "given_up"));
        char error[64] = "";
        if (has(stop, "perplexity_fluctuation"))
            (void)snprintf(error, sizeof error, "; neighbours differ by %.1f %%",
                           100 * expm1(sqrt(2) * real_of(stop, "perplexity_fluctuation")));
        (void)snprintf(
            text, sizeof text,
            "%.4g at step %.0f, %.4g at the end (stopping leaves it %.1f %% %s%s), best %.4g at step "
            "%.0f",
            real_of(stop, "perplexity"), real_of(stop, "perplexity_step"), real_of(stop, "perplexity_end"),
            fabs(change), change < 0 ? "lower" : "higher", error, real_of(stop, "perplexity_best"),
            real_of(stop, "perplexity_best_step"));
        print_wrapped("  perplexity", 36, text);
    }
    json_array_foreach(json_object_get(stop, "cautions"), i, caution)
    {
        print_wrapped("  caution", 36, text_of(caution, "meaning"));
    }
}

static void print_controls(const json_t *controls)
{
    const json_t *control;
    size_t i;
    json_array_foreach(controls, i, control)
    {
        const json_t *holds = json_object_get(control, "holds");
        char head[32];
        (void)snprintf(head, sizeof head, "  %-10s",
                       json_is_true(holds)    ? "yes"
                       : json_is_false(holds) ? "no"
                                              : "not known");
        print_wrapped(head, 13, text_of(control, "meaning"));
    }
}

static void print_analysis(const json_t *document)
{
    const json_t *onset, *rest = json_object_get(document, "rest");
    const json_t *divergence = json_object_get(document, "divergence");
    int has_diverged = strcmp(text_of(divergence, "verdict"), "yes") == 0;
    size_t i;
    int64_t measured = integer_of(document, "revisions_measured");
    int64_t left_out = measured - integer_of(document, "revisions_counted");
    const char *tensor = text_of(document, "tensor");
    char repeated[128] = "";
    if (left_out)
        (void)snprintf(repeated, sizeof repeated, ", %" PRId64 " of them left out as repetitions%s", left_out,
                       has_diverged ? " or after training diverged" : "");
    print_line(json_sprintf("%s%s%s: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
                            " revisions measured%s",
                            text_of(document, "model"), tensor[0] ? ", " : "", tensor, (json_int_t)measured,
                            (json_int_t)integer_of(document, "revisions_known"), repeated));
    if (integer_of(document, "revisions_left_out") > 0)
        print_line(json_sprintf("%" JSON_INTEGER_FORMAT
                                " more are not part of this run: of later stages, or of a "
                                "step that is there already",
                                (json_int_t)integer_of(document, "revisions_left_out")));
    if (!measured && !integer_of(json_object_get(document, "perplexity_fall"), "revisions")) {
        (void)fflush(stdout);
        (void)fputs("there is nothing to analyze yet; `bifurcate sweeps` says how sweeps ended, `bifurcate "
                    "sweep MODEL` "
                    "measures it\n",
                    stderr);
        return;
    }
    print_schedule(json_object_get(document, "schedule"));
    if (has_diverged) {
        (void)puts("\nDid training diverge?");
        print_verdict("divergence", divergence);
    }
    (void)puts("\nDid the weights fork?");
    json_array_foreach(json_object_get(document, "onsets"), i, onset)
    {
        print_onset(onset);
    }
    (void)puts("\nDid perplexity fall steeply?");
    print_verdict("steepest fall", json_object_get(document, "perplexity_fall"));
    (void)puts("\nDid the weights come to rest?");
    print_verdict("for each step", json_object_get(rest, "per_step"));
    print_verdict("for each unit of learning rate", json_object_get(rest, "per_lr"));
    print_verdict("as a random walk would", json_object_get(rest, "per_lr_squared"));
    (void)puts("\nCould training have stopped earlier?");
    print_stop(json_object_get(document, "stop"));
    (void)puts("\nWhat else could explain this?");
    print_controls(json_object_get(document, "controls"));
}

int client_run_analyze(const struct client_arguments *arguments)
{
    static const struct parameter parameters[] = {
        {"tensor", CLIENT_OPTION_TENSOR}, {"schedule", CLIENT_OPTION_SCHEDULE},
        {"peak", CLIENT_OPTION_PEAK},     {"floor", CLIENT_OPTION_FLOOR},
        {"warmup", CLIENT_OPTION_WARMUP}, {"stable", CLIENT_OPTION_STABLE},
        {"total", CLIENT_OPTION_TOTAL},   {"decay", CLIENT_OPTION_DECAY},
    };
    return run(arguments, arguments->words[0], "/analysis", parameters,
               sizeof parameters / sizeof parameters[0], print_analysis);
}

/* -- audit -- */

static void print_audit(const json_t *document)
{
    const json_t *findings = json_object_get(document, "findings"), *finding;
    size_t i;
    char grid[64] = "";
    print_line(json_sprintf("%s, %s: %" JSON_INTEGER_FORMAT
                            " revisions known, the files of %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
                            " measured",
                            text_of(document, "model"), text_of(document, "tensor"),
                            (json_int_t)integer_of(document, "revisions_known"),
                            (json_int_t)integer_of(document, "revisions_with_files"),
                            (json_int_t)integer_of(document, "revisions_measured")));
    if (has(document, "grid"))
        (void)snprintf(grid, sizeof grid, "; a revision every %.0f steps", real_of(document, "grid"));
    print_line(json_sprintf("%" JSON_INTEGER_FORMAT " different sets of weight files, %" JSON_INTEGER_FORMAT
                            " different tensors%s",
                            (json_int_t)integer_of(document, "distinct_files"),
                            (json_int_t)integer_of(document, "distinct_tensors"), grid));
    if (json_is_object(json_object_get(document, "passed_over")))
        print_wrapped("", 0, text_of(json_object_get(document, "passed_over"), "text"));
    if (json_array_size(findings) == 0)
        (void)puts("nothing found");
    json_array_foreach(findings, i, finding)
    {
        char head[64], kind[32];
        (void)snprintf(kind, sizeof kind, "%s", text_of(finding, "kind"));
        for (char *at = kind; *at; at++)
            *at = *at == '_' ? ' ' : *at;
        (void)snprintf(head, sizeof head, "  %-9" PRId64 " %-12s ", integer_of(finding, "step"), kind);
        print_wrapped(head, 25, text_of(finding, "text"));
    }
}

int client_run_audit(const struct client_arguments *arguments)
{
    static const struct parameter parameters[] = {{"tensor", CLIENT_OPTION_TENSOR}};
    return run(arguments, arguments->words[0], "/audit", parameters, 1, print_audit);
}

/* -- scaling -- */

/* The models by size, smallest first; the caller releases. */
static json_t *sort_by_size(const json_t *models)
{
    json_t *sorted = json_array(), *model;
    size_t i;
    json_array_foreach(models, i, model)
    {
        size_t at = json_array_size(sorted);
        while (at > 0 && integer_of(json_array_get(sorted, at - 1), "parameter_count") >
                             integer_of(model, "parameter_count"))
            at--;
        (void)json_array_insert(sorted, at, model);
    }
    return sorted;
}

static const struct client_column scaling_columns[] = {
    {"model", NULL},         {"parameter_count", "parameters"}, {"verdict", "forked"},
    {"onset_step", "onset"}, {"onset_step_before", "after"},    {"left_out", "left_out"}};

static void print_scaling_csv(const json_t *document)
{
    json_t *models = sort_by_size(json_object_get(document, "models"));
    client_table_print_csv(models, scaling_columns, COUNT(scaling_columns), stdout);
    json_decref(models);
}

/* "not in the law: a/b, forked already at its first revision" */
static void print_left_out(const json_t *models)
{
    static const struct {
        const char *why, *words;
    } reasons[] = {{"insufficient", "too little of it is measured"},
                   {"unbounded", "when it forked is bounded from no side"},
                   {"diverged", "its training diverged"},
                   {"size_unknown", "its number of parameters is not known"}};
    const json_t *model;
    size_t i;
    json_array_foreach(models, i, model)
    {
        for (size_t k = 0; k < COUNT(reasons); k++) {
            if (strcmp(text_of(model, "left_out"), reasons[k].why) == 0)
                (void)printf("not in the law: %s, %s\n", text_of(model, "model"), reasons[k].words);
        }
    }
}

static void print_scaling(const json_t *document)
{
    const json_t *fit = json_object_get(document, "fit");
    struct err err = ERR_INIT;
    (void)printf("Onset of forking, token rows, %s:\n", strcmp(text_of(document, "view"), "centred") == 0
                                                            ? "around column means, the law to report"
                                                            : "as stored, with the mean row");
    json_t *models = sort_by_size(json_object_get(document, "models"));
    if (client_table_print(models, scaling_columns, COUNT(scaling_columns) - 1, stdout, &err))
        (void)client_report(&err);
    print_left_out(models);
    json_decref(models);
    if (json_is_true(json_object_get(fit, "is_fitted")))
        (void)printf("onset step = %.4g * parameters^%.3f; 95 %% confidence of the exponent: %.3f to %.3f\n"
                     "of %" PRId64 " models of %" PRId64 " sizes, %" PRId64
                     " of them not forked so far; standard deviation from the law: a factor of %.3f\n",
                     real_of(fit, "prefactor"), real_of(fit, "exponent"), real_of(fit, "exponent_low"),
                     real_of(fit, "exponent_high"), integer_of(fit, "count"), integer_of(fit, "sizes"),
                     integer_of(fit, "unforked"), exp(real_of(fit, "deviation")));
    else
        (void)printf("no law: %s\n", text_of(fit, "reason"));
}

/* Without --view, both laws for people; what a program reads is one table, the API's own choice. */
int client_run_scaling(const struct client_arguments *arguments)
{
    static const struct parameter parameters[] = {{"view", CLIENT_OPTION_VIEW},
                                                  {"prefix", CLIENT_OPTION_PREFIX}};
    struct client_arguments each = *arguments;
    if (arguments->values[CLIENT_OPTION_CSV] || arguments->values[CLIENT_OPTION_JSON] ||
        arguments->values[CLIENT_OPTION_VIEW])
        return run(arguments, NULL, "/v1/scaling", parameters, COUNT(parameters),
                   arguments->values[CLIENT_OPTION_CSV] ? print_scaling_csv : print_scaling);
    each.values[CLIENT_OPTION_VIEW] = "centred";
    int code = run(&each, NULL, "/v1/scaling", parameters, COUNT(parameters), print_scaling);
    if (code)
        return code;
    each.values[CLIENT_OPTION_VIEW] = "raw";
    (void)putchar('\n');
    return run(&each, NULL, "/v1/scaling", parameters, COUNT(parameters), print_scaling);
}
