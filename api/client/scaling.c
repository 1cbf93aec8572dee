#include "api/client/answer.h"

#include "api/client/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The models by size, smallest first; the caller releases. */
static json_t *sort_by_size(const json_t *models)
{
    json_t *sorted = json_array(), *model;
    size_t i;
    json_array_foreach(models, i, model)
    {
        size_t at = json_array_size(sorted);
        while (at > 0 && member_integer(json_array_get(sorted, at - 1), "parameter_count") >
                             member_integer(model, "parameter_count"))
            at--;
        (void)json_array_insert(sorted, at, model);
    }
    return sorted;
}

static const struct client_column csv_columns[] = {{"model", NULL},
                                                   {"parameter_count", "parameters"},
                                                   {"verdict", "forked"},
                                                   {"onset_step", "onset"},
                                                   {"onset_step_before", "after"},
                                                   {"left_out", "left_out"},
                                                   {"step_unit", NULL},
                                                   {"onset_tokens", NULL},
                                                   {"onset_tokens_before", NULL},
                                                   {"is_lasting", NULL}};

static void print_scaling_csv(const json_t *document)
{
    json_t *models = sort_by_size(json_object_get(document, "models"));
    client_table_print_csv(models, csv_columns, COUNT(csv_columns), stdout);
    json_decref(models);
}

/* The number of an onset in the law's unit, short where these are large; null where it is not known in it. */
static void set_cell(json_t *model, const char *name, const char *key, enum step_unit unit)
{
    char text[STEP_UNIT_TEXT_SIZE];
    json_t *cell = json_null();
    if ((unit == STEP_UNIT_TOKENS || client_answer_unit(model) == unit) && member_is_number(model, key)) {
        step_unit_write_number(unit, member_real(model, key), text);
        cell = unit == STEP_UNIT_TOKENS || unit == STEP_UNIT_WORDS ? json_string(text)
                                                                   : json_copy(json_object_get(model, key));
    }
    (void)json_object_set_new(model, name, cell);
}

static void print_table(json_t *models, enum step_unit unit)
{
    const struct client_column columns[] = {
        {"model", NULL},
        {"parameter_count", "parameters"},
        {"verdict", "forked"},
        {"onset", unit == STEP_UNIT_STEPS ? "onset" : step_unit_name(unit)},
        {"after", NULL}};
    int is_tokens = unit == STEP_UNIT_TOKENS;
    struct err err = ERR_INIT;
    json_t *model;
    size_t i;
    json_array_foreach(models, i, model)
    {
        set_cell(model, "onset", is_tokens ? "onset_tokens" : "onset_step", unit);
        set_cell(model, "after", is_tokens ? "onset_tokens_before" : "onset_step_before", unit);
    }
    if (client_table_print(models, columns, COUNT(columns), stdout, &err))
        (void)client_report(&err);
}

/* "not in the law: a/b, forked already at its first revision", and whose onset is no lasting one. */
static void print_left_out(const json_t *models, enum step_unit unit)
{
    static const struct {
        const char *why, *words;
    } reasons[] = {{"insufficient", "too little of it is measured"},
                   {"unbounded", "when it forked is bounded from no side"},
                   {"diverged", "its training diverged"},
                   {"too_long", "it has too many revisions to be analysed"},
                   {"size_unknown", "its number of parameters is not known"}};
    const json_t *model;
    size_t i;
    json_array_foreach(models, i, model)
    {
        for (size_t k = 0; k < COUNT(reasons); k++) {
            if (strcmp(member_text(model, "left_out"), reasons[k].why) == 0)
                (void)printf("not in the law: %s, %s\n", member_text(model, "model"), reasons[k].words);
        }
        if (json_is_false(json_object_get(model, "is_lasting")))
            (void)printf("not to the end: %s, whose fork has closed again\n", member_text(model, "model"));
        if (strcmp(member_text(model, "left_out"), "unit") == 0)
            (void)printf("not in the law: %s, its onset is known in %s, not in %s\n",
                         member_text(model, "model"), step_unit_name(client_answer_unit(model)),
                         step_unit_name(unit));
    }
}

/* What the law leaves out, another unit may have: of more models, or tokens, since a law of steps compares
 * batches of different sizes. */
static void print_other_units(const json_t *document, enum step_unit unit)
{
    const json_t *units = json_object_get(document, "units");
    for (int i = 0; i < STEP_UNIT_COUNT; i++) {
        const char *name = step_unit_name((enum step_unit)i);
        const int64_t count = member_integer(units, name);
        if (i != (int)unit && count &&
            (i == STEP_UNIT_TOKENS || count > member_integer(units, step_unit_name(unit))))
            (void)printf("known in %s of %" PRId64 " model%s: --unit %s has the law of these\n", name, count,
                         count == 1 ? "" : "s", name);
    }
}

/* A law of some models looks like one of all. */
static void print_cut(const json_t *document)
{
    if (json_is_true(json_object_get(document, "is_cut")))
        (void)printf(
            "only of the first %zu models by name; there are more, of which --prefix takes those whose "
            "names begin so\n",
            json_array_size(json_object_get(document, "models")));
}

static void print_scaling(const json_t *document)
{
    const json_t *fit = json_object_get(document, "fit");
    const enum step_unit unit = step_unit_find(member_text(document, "unit"));
    const char *name = unit == STEP_UNIT_STEPS ? "step" : step_unit_name(unit);
    const char *tensor = member_text(document, "tensor");
    (void)printf("Onset of forking%s%s, token rows, %s, over %s:\n", tensor[0] ? " of " : "", tensor,
                 strcmp(member_text(document, "view"), "centred") == 0
                     ? "around column means, the law to report"
                     : "as stored, with the mean row",
                 step_unit_name(unit));
    json_t *models = sort_by_size(json_object_get(document, "models"));
    print_table(models, unit);
    print_left_out(models, unit);
    json_decref(models);
    if (json_is_true(json_object_get(fit, "is_fitted")))
        (void)printf("onset %s = %.4g * parameters^%.3f; 95 %% confidence of the exponent: %.3f to %.3f\n"
                     "of %" PRId64 " models of %" PRId64 " sizes, %" PRId64
                     " of them not forked so far; standard deviation from the law: a factor of %.3f\n",
                     name, member_real(fit, "prefactor"), member_real(fit, "exponent"),
                     member_real(fit, "exponent_low"), member_real(fit, "exponent_high"),
                     member_integer(fit, "count"), member_integer(fit, "sizes"),
                     member_integer(fit, "unforked"), exp(member_real(fit, "deviation")));
    else
        (void)printf("no law: %s\n", member_text(fit, "reason"));
    print_cut(document);
    print_other_units(document, unit);
}

/* Without --view, both laws for people; what a program reads is one table, the API's own choice. */
int client_run_scaling(const struct client_arguments *arguments)
{
    static const struct client_parameter parameters[] = {{"view", CLIENT_OPTION_VIEW},
                                                         {"unit", CLIENT_OPTION_UNIT},
                                                         {"prefix", CLIENT_OPTION_PREFIX},
                                                         {"tensor", CLIENT_OPTION_TENSOR}};
    struct client_arguments each = *arguments;
    if (arguments->values[CLIENT_OPTION_CSV] || arguments->values[CLIENT_OPTION_JSON] ||
        arguments->values[CLIENT_OPTION_VIEW])
        return client_answer_run(arguments, NULL, "/v1/scaling", parameters, COUNT(parameters),
                                 arguments->values[CLIENT_OPTION_CSV] ? print_scaling_csv : print_scaling);
    each.values[CLIENT_OPTION_VIEW] = "centred";
    int code = client_answer_run(&each, NULL, "/v1/scaling", parameters, COUNT(parameters), print_scaling);
    if (code)
        return code;
    each.values[CLIENT_OPTION_VIEW] = "raw";
    (void)putchar('\n');
    return client_answer_run(&each, NULL, "/v1/scaling", parameters, COUNT(parameters), print_scaling);
}
