#include "api/client/answer.h"

#include "api/client/table.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* How many findings from this one on say the same of weights that stand still. */
static size_t count_alike(const json_t *findings, size_t from)
{
    const json_t *first = json_array_get(findings, from);
    const char *digest = member_text(first, "digest");
    size_t count = 1;
    while (digest[0] && strcmp(member_text(first, "kind"), "unchanged") == 0) {
        const json_t *next = json_array_get(findings, from + count);
        if (strcmp(member_text(next, "kind"), "unchanged") != 0 ||
            strcmp(member_text(next, "basis"), member_text(first, "basis")) != 0 ||
            strcmp(member_text(next, "digest"), digest) != 0 ||
            json_is_false(json_object_get(next, "is_model_equal")) !=
                json_is_false(json_object_get(first, "is_model_equal"))) /* the text says why */
            break;
        count++;
    }
    return count;
}

/* A line for a finding; of `alike` ones that follow each other, for all of them. */
static void print_finding(const json_t *findings, size_t at, size_t alike, enum step_unit unit)
{
    const json_t *finding = json_array_get(findings, at);
    char head[96], kind[32], number[STEP_UNIT_TEXT_SIZE];
    step_unit_write_number(unit, (double)member_integer(finding, "step"), number);
    (void)snprintf(kind, sizeof kind, "%s", member_text(finding, "kind"));
    for (char *c = kind; *c; c++)
        *c = *c == '_' ? ' ' : *c;
    (void)snprintf(head, sizeof head, "  %-9s %-12s ", number, kind);
    if (alike == 1) {
        client_answer_wrap(head, 25, member_text(finding, "text"));
        return;
    }
    json_t *text = json_sprintf("%s; the same holds of the next %zu, up to %s", member_text(finding, "text"),
                                alike - 1, member_text(json_array_get(findings, at + alike - 1), "revision"));
    client_answer_wrap(head, 25, json_is_string(text) ? json_string_value(text) : "");
    json_decref(text);
}

static void print_audit(const json_t *document)
{
    const json_t *findings = json_object_get(document, "findings");
    const enum step_unit unit = client_answer_unit(document);
    const long long files = member_integer(document, "revisions_with_files");
    char grid[80] = "", every[STEP_UNIT_TEXT_SIZE], known[80] = "", sets[80] = "";
    if (files) { /* a folder's files have no digests */
        (void)snprintf(known, sizeof known, ", the files of %lld", files);
        (void)snprintf(sets, sizeof sets, "%lld different sets of weight files, ",
                       (long long)member_integer(document, "distinct_files"));
    }
    client_answer_line(json_sprintf("%s, %s: %" JSON_INTEGER_FORMAT
                                    " revisions known%s, %" JSON_INTEGER_FORMAT " measured",
                                    member_text(document, "model"), member_text(document, "tensor"),
                                    (json_int_t)member_integer(document, "revisions_known"), known,
                                    (json_int_t)member_integer(document, "revisions_measured")));
    if (member_is_number(document, "grid")) {
        step_unit_write_every(unit, member_real(document, "grid"), every);
        (void)snprintf(grid, sizeof grid, "; a revision every %s", every);
    }
    client_answer_line(
        json_sprintf("%s%" JSON_INTEGER_FORMAT " different tensors%s%s", sets,
                     (json_int_t)member_integer(document, "distinct_tensors"), grid,
                     files ? "" : "; files are not compared, since no digests of them are known"));
    if (json_is_object(json_object_get(document, "passed_over")))
        client_answer_wrap("", 0, member_text(json_object_get(document, "passed_over"), "text"));
    if (json_array_size(findings) == 0)
        client_answer_line(json_string(
            member_integer(document, "revisions_measured") < member_integer(document, "revisions_known")
                ? "nothing found so far; `bifurcate series` says what is not measured, and why"
                : "nothing found"));
    for (size_t i = 0, alike; i < json_array_size(findings); i += alike) {
        alike = count_alike(findings, i);
        print_finding(findings, i, alike, unit);
    }
}

static void print_audit_csv(const json_t *document)
{
    static const struct client_column columns[] = {
        {"kind", NULL},           {"basis", NULL},      {"revision", NULL}, {"step", NULL},
        {"other", NULL},          {"other_step", NULL}, {"digest", NULL},   {"is_tensor_equal", NULL},
        {"is_model_equal", NULL}, {"evidence", NULL},   {"text", NULL}};
    client_table_print_csv(json_object_get(document, "findings"), columns, COUNT(columns), stdout);
}

int client_run_audit(const struct client_arguments *arguments)
{
    static const struct client_parameter parameters[] = {{"tensor", CLIENT_OPTION_TENSOR}};
    return client_answer_run(arguments, arguments->words[0], "/audit", parameters, COUNT(parameters),
                             arguments->values[CLIENT_OPTION_CSV] ? print_audit_csv : print_audit);
}
