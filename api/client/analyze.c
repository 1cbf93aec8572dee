#include "api/client/answer.h"
#include "api/client/table.h"
#include "daemon/base/limits.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *verdict_of(const json_t *part)
{
    const char *verdict = member_text(part, "verdict");
    return strcmp(verdict, "insufficient") == 0 ? "not enough data" : verdict;
}

static void print_verdict(const char *title, const json_t *part)
{
    char head[64], text[1024];
    (void)snprintf(head, sizeof head, "  %-34s", title);
    (void)snprintf(text, sizeof text, "%s: %s", verdict_of(part), member_text(part, "reason"));
    client_answer_wrap(head, 36, text);
}

/* A member of a document that is a step, in words: "step 512", "220B tokens". */
static const char *place_of(const json_t *object, const char *key, enum step_unit unit,
                            char text[STEP_UNIT_TEXT_SIZE])
{
    step_unit_write_place(unit, member_real(object, key), text);
    return text;
}

static void print_onset(const json_t *onset, enum step_unit unit)
{
    char title[64], head[64], text[1024], where[128] = "", place[STEP_UNIT_TEXT_SIZE];
    int is_tokens = strcmp(member_text(onset, "rows"), "tokens") == 0;
    int is_centred = strcmp(member_text(onset, "view"), "centred") == 0;
    (void)snprintf(title, sizeof title, "%s, %s", is_tokens ? "token rows" : "all rows",
                   is_centred ? "around column means" : "as stored");
    if (member_is_number(onset, "step") && member_is_number(onset, "step_before"))
        (void)snprintf(where, sizeof where, ", after %s", place_of(onset, "step_before", unit, place));
    else if (member_is_number(onset, "step"))
        (void)snprintf(where, sizeof where, ", already at the first revision of its own");
    (void)snprintf(head, sizeof head, "  %-34s", title);
    (void)snprintf(text, sizeof text, "%s%s: %s", verdict_of(onset), where, member_text(onset, "reason"));
    client_answer_wrap(head, 36, text);
}

/* "steady to step 100000", "steady to 2.5T tokens": a number of a schedule need not be a whole one. */
static void write_place(enum step_unit unit, double number, char text[STEP_UNIT_TEXT_SIZE])
{
    if (unit == STEP_UNIT_TOKENS || unit == STEP_UNIT_WORDS || number == nearbyint(number))
        step_unit_write_place(unit, number, text);
    else
        (void)snprintf(text, STEP_UNIT_TEXT_SIZE, "%.*s %.4g", (int)strlen(step_unit_name(unit)) - 1,
                       step_unit_name(unit), number);
}

static void print_known_schedule(const json_t *schedule, enum step_unit unit)
{
    char text[512], stable[80] = "", warmup[STEP_UNIT_TEXT_SIZE], total[STEP_UNIT_TEXT_SIZE];
    const char *source = strcmp(member_text(schedule, "source"), "query") == 0 ? "as given" : "built in";
    if (member_is_number(schedule, "stable")) {
        char place[STEP_UNIT_TEXT_SIZE];
        write_place(unit, member_real(schedule, "stable"), place);
        (void)snprintf(stable, sizeof stable, ", steady to %s", place);
    }
    write_place(unit, member_real(schedule, "warmup"), warmup);
    write_place(unit, member_real(schedule, "total"), total);
    if (unit == STEP_UNIT_STEPS)
        (void)snprintf(text, sizeof text,
                       "%s (%s), peak %g, floor %g, %.0f steps of warm-up%s, %.0f steps, weight decay %g",
                       member_text(schedule, "kind"), source, member_real(schedule, "peak"),
                       member_real(schedule, "floor"), member_real(schedule, "warmup"), stable,
                       member_real(schedule, "total"), member_real(schedule, "decay"));
    else
        (void)snprintf(text, sizeof text,
                       "%s (%s), peak %g, floor %g, warm-up to %s%s, to %s in %.0f steps, weight decay %g",
                       member_text(schedule, "kind"), source, member_real(schedule, "peak"),
                       member_real(schedule, "floor"), warmup, stable, total, member_real(schedule, "steps"),
                       member_real(schedule, "decay"));
    client_answer_wrap("Learning rate: ", 2, text);
}

static void print_schedule(const json_t *schedule, enum step_unit unit)
{
    char text[320];
    if (strcmp(member_text(schedule, "kind"), "unknown") != 0) {
        print_known_schedule(schedule, unit);
        return;
    }
    if (unit == STEP_UNIT_STEPS)
        (void)snprintf(text, sizeof text,
                       "unknown: whatever compares with it is left out; name it with --schedule, --peak, "
                       "--floor, --warmup, --stable, --total and --decay");
    else
        (void)snprintf(
            text, sizeof text,
            "unknown: whatever compares with it is left out; name it with --schedule, --peak, "
            "--floor, --decay, --warmup, --stable and --total, these three in %s, and --steps, how "
            "many optimiser steps there are until --total",
            step_unit_name(unit));
    client_answer_wrap("Learning rate: ", 2, text);
}

static void print_stop(const json_t *stop, enum step_unit unit)
{
    const json_t *caution;
    size_t i;
    char text[512];
    print_verdict("recommendation", stop);
    if (member_is_number(stop, "perplexity") && member_is_number(stop, "given_up") &&
        member_is_number(stop, "step")) {
        double change = 100 * expm1(member_real(stop, "given_up"));
        char error[64] = "", there[STEP_UNIT_TEXT_SIZE], best[STEP_UNIT_TEXT_SIZE];
        if (member_is_number(stop, "perplexity_fluctuation"))
            (void)snprintf(error, sizeof error, "; neighbours differ by %.1f %%",
                           100 * expm1(sqrt(2) * member_real(stop, "perplexity_fluctuation")));
        (void)snprintf(text, sizeof text,
                       "%.4g at %s, %.4g at the end (stopping leaves it %.1f %% %s%s), best %.4g at %s",
                       member_real(stop, "perplexity"), place_of(stop, "perplexity_step", unit, there),
                       member_real(stop, "perplexity_end"), fabs(change), change < 0 ? "lower" : "higher",
                       error, member_real(stop, "perplexity_best"),
                       place_of(stop, "perplexity_best_step", unit, best));
        client_answer_wrap("  perplexity", 36, text);
    }
    json_array_foreach(json_object_get(stop, "cautions"), i, caution)
    {
        client_answer_wrap("  caution", 36, member_text(caution, "meaning"));
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
        client_answer_wrap(head, 13, member_text(control, "meaning"));
    }
}

/* Displacements that no verdict uses, and what makes them of use. */
static void print_other_references(const json_t *document)
{
    int64_t count = member_integer(document, "revisions_of_other_references");
    char text[LIMIT_REVISION_NAME_BYTES + 256];
    if (count <= 0)
        return;
    (void)snprintf(text, sizeof text,
                   "%" PRId64 " displacement%s from another revision than %s, since a sweep named another "
                   "--reference, and %s left out; a sweep of all has them from one again",
                   count, count == 1 ? " is" : "s are", member_text(document, "reference"),
                   count == 1 ? "is" : "are");
    client_answer_wrap("", 0, text);
}

static void print_analysis(const json_t *document)
{
    const json_t *onset, *rest = json_object_get(document, "rest");
    const json_t *divergence = json_object_get(document, "divergence");
    int has_diverged = strcmp(member_text(divergence, "verdict"), "yes") == 0;
    size_t i;
    int64_t measured = member_integer(document, "revisions_measured");
    int64_t left_out = measured - member_integer(document, "revisions_counted");
    const char *tensor = member_text(document, "tensor");
    const enum step_unit unit = client_answer_unit(document);
    char repeated[128] = "", each[32];
    (void)snprintf(each, sizeof each, "for each %.*s", (int)strlen(step_unit_name(unit)) - 1,
                   step_unit_name(unit));
    if (left_out)
        (void)snprintf(repeated, sizeof repeated, ", %" PRId64 " of them left out as repetitions%s", left_out,
                       has_diverged ? " or after training diverged" : "");
    client_answer_line(
        json_sprintf("%s%s%s: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " revisions measured%s",
                     member_text(document, "model"), tensor[0] ? ", " : "", tensor, (json_int_t)measured,
                     (json_int_t)member_integer(document, "revisions_known"), repeated));
    if (member_integer(document, "revisions_left_out") > 0)
        client_answer_line(json_sprintf("%" JSON_INTEGER_FORMAT
                                        " more are not part of this run: of later stages, or of a "
                                        "step that is there already",
                                        (json_int_t)member_integer(document, "revisions_left_out")));
    print_other_references(document);
    if (!measured && !member_integer(json_object_get(document, "perplexity_fall"), "revisions")) {
        (void)fflush(stdout);
        (void)fputs("there is nothing to analyze yet; `bifurcate sweeps` says how sweeps ended, `bifurcate "
                    "tensors MODEL` lists what is measured, `bifurcate sweep MODEL` measures it\n",
                    stderr);
        return;
    }
    print_schedule(json_object_get(document, "schedule"), unit);
    if (has_diverged) {
        (void)puts("\nDid training diverge?");
        print_verdict("divergence", divergence);
    }
    (void)puts("\nDid the weights fork?");
    json_array_foreach(json_object_get(document, "onsets"), i, onset)
    {
        print_onset(onset, unit);
    }
    (void)puts("\nDid perplexity fall steeply?");
    print_verdict("steepest fall", json_object_get(document, "perplexity_fall"));
    (void)puts("\nDid the weights come to rest?");
    print_verdict(each, json_object_get(rest, "per_step"));
    print_verdict("for each unit of learning rate", json_object_get(rest, "per_lr"));
    print_verdict("as a random walk would", json_object_get(rest, "per_lr_squared"));
    (void)puts("\nCould training have stopped earlier?");
    print_stop(json_object_get(document, "stop"), unit);
    (void)puts("\nWhat else could explain this?");
    print_controls(json_object_get(document, "controls"));
}

/* What the verdicts rest on, a line for each revision. */
static void print_analysis_csv(const json_t *document)
{
    static const struct client_column columns[] = {{"revision", NULL},
                                                   {"step", NULL},
                                                   {"tokens", NULL},
                                                   {"is_counted", NULL},
                                                   {"is_forked", NULL},
                                                   {"tokens_is_forked", NULL},
                                                   {"centred_is_forked", NULL},
                                                   {"tokens_centred_is_forked", NULL},
                                                   {"msd", NULL},
                                                   {"lag1_msd", NULL},
                                                   {"alpha", NULL},
                                                   {"rate_per_step", NULL},
                                                   {"rate_per_lr", NULL},
                                                   {"rate_per_lr_squared", NULL},
                                                   {"msd_per_lr", NULL},
                                                   {"lr", NULL},
                                                   {"lr_sum", NULL},
                                                   {"msd_null", NULL},
                                                   {"resolution", NULL},
                                                   {"is_unresolved", NULL},
                                                   {"perplexity", NULL},
                                                   {"other_texts", NULL}};
    client_table_print_csv(json_object_get(document, "revisions"), columns, COUNT(columns), stdout);
}

int client_run_analyze(const struct client_arguments *arguments)
{
    static const struct client_parameter parameters[] = {
        {"tensor", CLIENT_OPTION_TENSOR}, {"schedule", CLIENT_OPTION_SCHEDULE},
        {"peak", CLIENT_OPTION_PEAK},     {"floor", CLIENT_OPTION_FLOOR},
        {"warmup", CLIENT_OPTION_WARMUP}, {"stable", CLIENT_OPTION_STABLE},
        {"total", CLIENT_OPTION_TOTAL},   {"steps", CLIENT_OPTION_STEPS},
        {"decay", CLIENT_OPTION_DECAY},
    };
    return client_answer_run(arguments, arguments->words[0], "/analysis", parameters, COUNT(parameters),
                             arguments->values[CLIENT_OPTION_CSV] ? print_analysis_csv : print_analysis);
}
