#include "api/client/answer.h"
#include "api/client/commands.h"
#include "api/client/models_named.h"
#include "api/client/plain.h"
#include "api/client/sweep_outcome.h"

#include "daemon/base/step_unit.h"

#include <string.h>
#include <unistd.h>

/* What the table shows unless --fields says otherwise: what verdicts are of. Perplexity is left out where
 * none is measured. */
#define TABLE_FIELDS                                                                                         \
    "revision,step,state,tokens_msd,tokens_lag1_msd,tokens_centred_dip,tokens_centred_ashman_d,perplexity"
#define PAGE_LIMIT "10000"
#define FIELDS_BYTES_MAX 8192
#define REASONS_MAX 8 /* why rows failed */

static const char *last_tensor(const struct client_arguments *arguments)
{
    return arguments->values[CLIENT_OPTION_TENSOR];
}

/* A table of the columns above. */
static int is_plain(const struct client_arguments *arguments)
{
    return !arguments->values[CLIENT_OPTION_FIELDS] && !arguments->values[CLIENT_OPTION_JSON] &&
           !arguments->values[CLIENT_OPTION_CSV];
}

static const char *fields_of(const struct client_arguments *arguments)
{
    const char *fields = arguments->values[CLIENT_OPTION_FIELDS];
    return fields ? fields : is_plain(arguments) ? TABLE_FIELDS : NULL;
}

/* Whether any row has such a member that is not null. */
static int has_value(const json_t *rows, const char *name)
{
    const json_t *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        const json_t *value = json_object_get(row, name);
        if (value && !json_is_null(value))
            return 1;
    }
    return 0;
}

/* Whether the table's rows hold numbers of the tensor. */
static int is_measured(const json_t *rows)
{
    return has_value(rows, "tokens_msd") || has_value(rows, "tokens_centred_dip");
}

/* Over numbers that are no optimiser steps stands what they count, in tables. */
static void name_unit(struct client_column *columns, size_t count, const json_t *document)
{
    const char *name = json_string_value(json_object_get(document, "step_unit"));
    const enum step_unit unit = step_unit_find(name);
    for (size_t i = 0; i < count && unit != STEP_UNIT_STEPS; i++) {
        if (columns[i].title && strcmp(columns[i].key, "step") == 0)
            columns[i].title = step_unit_name(unit);
    }
}

/* Columns in the order of the rows' members. */
static size_t columns_of(const json_t *array, char *fields, int is_chosen, struct client_column *columns,
                         size_t room)
{
    size_t count = 0;
    const char *key;
    json_t *value;
    if (fields[0]) {
        count = client_table_split(fields, columns, room);
        for (size_t i = 0; i < count && !is_chosen; i++)
            columns[i].title = columns[i].key;
        return count;
    }
    json_object_foreach(json_array_get(array, 0), key, value)
    {
        if (count < room)
            columns[count++] = (struct client_column){key, NULL};
    }
    return count;
}

static void print_reasons(const char *model, const json_t *rows)
{
    (void)fflush(stdout);
    size_t left = client_print_alike(rows, "error", REASONS_MAX);
    if (left)
        (void)fprintf(stderr, "  and %zu more: `bifurcate series %s --fields revision,error` lists all\n",
                      left, model);
}

static void print_nothing(const struct client_arguments *arguments, const json_t *document)
{
    if (arguments->values[CLIENT_OPTION_FROM] || arguments->values[CLIENT_OPTION_TO])
        (void)fprintf(stderr, "no revision lies between these %s\n",
                      step_unit_name(client_answer_unit(document)));
    else
        (void)fputs("no revisions yet; `bifurcate sweep` measures them\n", stderr);
}

static int print_series(const struct client_arguments *arguments, const char *model, const json_t *document)
{
    struct client_column columns[CLIENT_TABLE_COLUMNS_MAX];
    const json_t *rows = json_object_get(document, "revisions");
    const char *wanted = fields_of(arguments);
    char fields[FIELDS_BYTES_MAX];
    (void)snprintf(fields, sizeof fields, "%s", wanted ? wanted : "");
    size_t count = columns_of(rows, fields, arguments->values[CLIENT_OPTION_FIELDS] != NULL, columns,
                              CLIENT_TABLE_COLUMNS_MAX);
    if (wanted && count && !arguments->values[CLIENT_OPTION_FIELDS] && !has_value(rows, "perplexity"))
        count--;
    name_unit(columns, count, document);
    int status = client_print_list(arguments, document, "revisions", columns, count, NULL);
    if (status == CLIENT_EXIT_DONE && is_plain(arguments))
        print_reasons(model, rows);
    if (status == CLIENT_EXIT_DONE && json_array_size(rows) == 0)
        print_nothing(arguments, document);
    else if (status == CLIENT_EXIT_DONE && last_tensor(arguments) && wanted &&
             !arguments->values[CLIENT_OPTION_FIELDS] && isatty(STDOUT_FILENO) && !is_measured(rows))
        (void)fprintf(
            stderr,
            "nothing of this tensor is measured; `bifurcate sweep %s --tensor %s` measures it, `bifurcate "
            "tensors %s` lists those that are\n",
            model, last_tensor(arguments), model);
    return status;
}

/* GET of the series of one model. Returns the exit status; the caller releases *ret_document. */
static int fetch_series(const struct client_arguments *arguments, const char *model, const char *fields,
                        json_t **ret_document)
{
    static const struct client_parameter range[] = {
        {"from", CLIENT_OPTION_FROM}, {"to", CLIENT_OPTION_TO}, {"tensor", CLIENT_OPTION_TENSOR}};
    struct client_answer answer;
    client_answer_begin(&answer, arguments, model);
    buf_append_text(&answer.target, "/revisions?limit=" PAGE_LIMIT);
    client_link_append(&answer.target, "fields", fields);
    client_answer_ask(&answer, range, sizeof range / sizeof range[0]);
    if (arguments->values[CLIENT_OPTION_STEPLESS])
        client_link_append(&answer.target, "stepless", "true");
    client_answer_get(&answer, "revisions");
    const size_t count = json_array_size(json_object_get(answer.document, "revisions"));
    client_answer_check_model(&answer, count == 0);
    if (!answer.code) {
        (void)json_object_set_new(answer.document, "count", json_integer((json_int_t)count));
        *ret_document = json_incref(answer.document);
    }
    return client_answer_end(&answer);
}

/* Whether the column `perplexity` of an analysis' revision is of other texts than that of most. */
static int is_of_other_texts(const json_t *point)
{
    const json_t *mode;
    size_t i;
    json_array_foreach(json_object_get(point, "other_texts"), i, mode)
    {
        if (json_is_string(mode) && strcmp(json_string_value(mode), "last_word") == 0)
            return 1;
    }
    return 0;
}

/* Which perplexities of the table are not to be compared with the others. */
static int print_other_texts(const struct client_arguments *arguments, const char *model)
{
    static const struct client_parameter parameters[] = {{"tensor", CLIENT_OPTION_TENSOR}};
    struct client_answer answer;
    const json_t *point;
    size_t i, count = 0;
    client_answer_begin(&answer, arguments, model);
    buf_append_text(&answer.target, "/analysis");
    client_answer_ask(&answer, parameters, sizeof parameters / sizeof parameters[0]);
    client_answer_get(&answer, NULL);
    (void)fflush(stdout);
    json_array_foreach(json_object_get(answer.document, "revisions"), i, point)
    {
        char name[CLIENT_CELL_SIZE];
        if (!is_of_other_texts(point))
            continue;
        client_plain_copy(json_object_get(point, "revision"), "-", name, sizeof name);
        if (count++ < REASONS_MAX)
            (void)fprintf(stderr, "%s%s",
                          count == 1 ? "perplexity of other texts or another limit than most, in no verdict: "
                                     : ", ",
                          name);
    }
    if (count > REASONS_MAX)
        (void)fprintf(stderr, " and %zu more\n", count - REASONS_MAX);
    else if (count)
        (void)fputs("\n", stderr);
    return client_answer_end(&answer);
}

static int print_one(const struct client_arguments *arguments, const char *model)
{
    json_t *document = NULL;
    int status = fetch_series(arguments, model,
                              is_plain(arguments) ? TABLE_FIELDS ",error" : fields_of(arguments), &document);
    if (status == CLIENT_EXIT_DONE)
        status = print_series(arguments, model, document);
    if (status == CLIENT_EXIT_DONE && is_plain(arguments) &&
        has_value(json_object_get(document, "revisions"), "perplexity"))
        status = print_other_texts(arguments, model);
    json_decref(document);
    return status;
}

/* Appends the rows of a model to those of all, each with the model's name before the rest. */
static void take_rows(json_t *all, const json_t *document, const char *unit_before)
{
    const json_t *row;
    json_t *rows = json_object_get(all, "revisions");
    const char *unit = member_text(document, "step_unit");
    size_t i;
    json_array_foreach(json_object_get(document, "revisions"), i, row)
    {
        json_t *named = json_pack("{s:O}", "model", json_object_get(document, "model"));
        (void)json_object_update(named, (json_t *)(uintptr_t)row);
        (void)json_array_append_new(rows, named);
    }
    if (unit_before && strcmp(unit_before, unit) != 0)
        (void)json_object_set_new(all, "step_unit", json_null());
    else if (!unit_before)
        (void)json_object_set_new(all, "step_unit", json_string(unit));
}

/* What is told beside the table of several models: that it is empty, or why rows failed, below the model's
 * name. */
static void print_notes(const struct client_arguments *arguments, const json_t *documents, const json_t *all)
{
    const json_t *document;
    size_t i;
    if (json_array_size(json_object_get(all, "revisions")) == 0)
        print_nothing(arguments, all);
    json_array_foreach(documents, i, document)
    {
        char name[CLIENT_CELL_SIZE];
        const json_t *rows = json_object_get(document, "revisions");
        if (!is_plain(arguments) || !has_value(rows, "error"))
            continue;
        client_plain_copy(json_object_get(document, "model"), "-", name, sizeof name);
        (void)fflush(stdout);
        (void)fprintf(stderr, "%s:\n", name);
        print_reasons(name, rows);
    }
}

/* The models below each other in one table, whose first column names them. `documents` is what the daemon
 * gave of each, in that order. */
static int print_several(const struct client_arguments *arguments, const json_t *documents)
{
    struct client_column columns[CLIENT_TABLE_COLUMNS_MAX] = {
        {"model", is_plain(arguments) ? "model" : NULL}};
    const char *wanted = fields_of(arguments);
    char fields[FIELDS_BYTES_MAX];
    const json_t *document;
    size_t i, count = 1;
    json_t *all = json_pack("{s:[]}", "revisions");
    json_array_foreach(documents, i, document)
    {
        const json_t *unit = json_object_get(all, "step_unit");
        take_rows(all, document, unit ? json_is_string(unit) ? json_string_value(unit) : "" : NULL);
    }
    const json_t *rows = json_object_get(all, "revisions");
    (void)snprintf(fields, sizeof fields, "%s", wanted ? wanted : "");
    if (!wanted)
        count = 0; /* the rows' own members */
    count +=
        columns_of(rows, fields, !is_plain(arguments), columns + count, CLIENT_TABLE_COLUMNS_MAX - count);
    if (is_plain(arguments) && !has_value(rows, "perplexity"))
        count--;
    if (is_plain(arguments) && json_is_null(json_object_get(all, "step_unit")))
        columns[count++] = (struct client_column){"step_unit", NULL};
    else if (is_plain(arguments))
        name_unit(columns, count, all);
    int status = client_print_list(arguments, all, "revisions", columns, count, NULL);
    if (status == CLIENT_EXIT_DONE)
        print_notes(arguments, documents, all);
    json_decref(all);
    return status;
}

/* One document, as sweeps of several models are. */
static void print_all(json_t *documents)
{
    json_t *all = json_pack("{s:O}", "series", documents);
    client_print_json(all);
    json_decref(all);
}

int client_run_series(const struct client_arguments *arguments)
{
    struct client_link *link = NULL;
    struct client_models models = {.count = 0};
    struct err err = ERR_INIT;
    json_t *documents = json_array();
    const char *fields = is_plain(arguments) ? TABLE_FIELDS ",step_unit,error" : fields_of(arguments);
    int status = CLIENT_EXIT_DONE, code = client_models_check(arguments, &err);
    if (!code && arguments->word_count != 1)
        code = client_link_open(arguments, &link, &err);
    if (!code)
        code = client_models_find(arguments, link, &models, &err);
    client_link_close(link);
    for (size_t i = 0; i < models.count && !code && !status && arguments->word_count != 1; i++) {
        json_t *document = NULL;
        status = fetch_series(arguments, models.names[i], fields, &document);
        if (!status)
            (void)json_array_append_new(documents, document);
    }
    if (code)
        status = client_report(&err);
    else if (arguments->word_count == 1)
        status = print_one(arguments, arguments->words[0]);
    else if (!status && arguments->values[CLIENT_OPTION_JSON])
        print_all(documents);
    else if (!status)
        status = print_several(arguments, documents);
    json_decref(documents);
    client_models_free(&models);
    return status;
}

/* Two columns: the name of each member and its value, null left out. */
static void print_revision(const json_t *document)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)document, key, value)
    {
        char text[CLIENT_CELL_SIZE];
        if (json_is_null(value))
            continue;
        client_table_format(value, text);
        (void)printf("%-32s %s\n", key, text);
    }
}

int client_run_revision(const struct client_arguments *arguments)
{
    static const struct client_parameter parameters[] = {{"fields", CLIENT_OPTION_FIELDS},
                                                         {"tensor", CLIENT_OPTION_TENSOR}};
    struct client_answer answer;
    client_answer_begin(&answer, arguments, arguments->words[0]);
    client_answer_name_revision(&answer, arguments->words[1]);
    client_answer_ask(&answer, parameters, sizeof parameters / sizeof parameters[0]);
    client_answer_get(&answer, NULL);
    client_answer_check_model(&answer, 0);
    client_answer_print(&answer, print_revision);
    return client_answer_end(&answer);
}
