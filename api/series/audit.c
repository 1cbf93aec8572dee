#include "daemon/analysis/audit.h"

#include "api/form/json.h"
#include "api/resource/context.h"
#include "api/resource/passed_over.h"
#include "api/resource/query.h"
#include "api/series/audit.h"
#include "api/series/audit_files.h"
#include "api/series/audit_rewrites.h"
#include "api/series/audit_skips.h"
#include "api/series/handlers.h"
#include "api/series/run.h"
#include "daemon/base/buf.h"
#include "daemon/base/local_name.h"
#include "daemon/base/weight_layout.h"
#include "store/models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE 512

/* What a finding rests on. */
enum basis { BASIS_FILES, BASIS_TENSOR, BASIS_DISPLACEMENT, BASIS_STEPS, BASIS_VALUES };
static const char *const basis_names[] = {"files", "tensor", "displacement", "steps", "values"};

struct finding {
    enum audit_kind kind;
    enum basis basis;
    size_t index, other; /* of points */
    double step, evidence;
    int is_of_one_run; /* of AUDIT_KIND_REWRITTEN: as far as is known */
};

/* The audit of a run. */
struct report {
    const struct api_run *run;
    const struct api_audit_files *files;
    struct audit_point *points; /* [run->count] */
    struct audit by_files, by_tensor;
    struct finding *findings;
    size_t finding_count;
};

/* Room for so many findings more. */
static int make_room(struct report *report, size_t more, struct err *err)
{
    struct finding *larger =
        realloc(report->findings, (report->finding_count + more + 1) * sizeof *report->findings);
    if (!larger)
        return err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    report->findings = larger;
    return 0;
}

/* Of equal revisions one is right. If the last one is among them, that one is: runs are known to serve their
 * final weights under early names. Otherwise the earliest. */
static void name_suspect(struct finding *finding, const struct report *report)
{
    const struct audit_point *points = report->points;
    size_t last = report->run->count - 1;
    if (finding->kind != AUDIT_KIND_DUPLICATE || points[finding->index].content != points[last].content)
        return;
    finding->index = finding->index == last ? finding->other : finding->index;
    finding->other = last;
}

static int is_repetition(enum audit_kind kind)
{
    return kind == AUDIT_KIND_DUPLICATE || kind == AUDIT_KIND_UNCHANGED;
}

/* Takes over what one pass over the points has found, without what is there already. */
static int take_findings(struct report *report, const struct audit *audit, enum basis basis, struct err *err)
{
    const size_t known = report->finding_count;
    int code = make_room(report, audit->finding_count, err);
    for (size_t i = 0; i < audit->finding_count && !code; i++) {
        const struct audit_finding *from = &audit->findings[i];
        struct finding finding = {.kind = from->kind,
                                  .basis = basis,
                                  .index = from->index,
                                  .other = from->other,
                                  .step = from->step,
                                  .evidence = from->evidence};
        int is_new = 1;
        if (is_repetition(finding.kind)) {
            name_suspect(&finding, report);
            finding.step = report->points[finding.index].step;
            for (size_t k = 0; k < known && is_new; k++)
                is_new =
                    !is_repetition(report->findings[k].kind) || report->findings[k].index != finding.index;
        } else if (basis == BASIS_FILES) {
            is_new = 0; /* the other pass sees these, too */
        } else {
            finding.basis = finding.kind == AUDIT_KIND_MISSING      ? BASIS_STEPS
                            : finding.kind == AUDIT_KIND_NOT_FINITE ? BASIS_VALUES
                                                                    : BASIS_DISPLACEMENT;
        }
        if (is_new)
            report->findings[report->finding_count++] = finding;
    }
    return code;
}

static int take_rewrites(struct report *report, const struct api_audit_rewrites *rewrites, struct err *err)
{
    int code = make_room(report, rewrites->count, err);
    for (size_t i = 0; i < rewrites->count && !code; i++) {
        const struct api_audit_rewrite *from = &rewrites->rows[i];
        report->findings[report->finding_count++] = (struct finding){.kind = AUDIT_KIND_REWRITTEN,
                                                                     .basis = BASIS_VALUES,
                                                                     .index = from->index,
                                                                     .other = from->index,
                                                                     .step = report->points[from->index].step,
                                                                     .evidence = from->cosine,
                                                                     .is_of_one_run = from->is_of_one_run};
    }
    return code;
}

/* What was measured all the same was served by somebody else (a mirror). */
static int take_lacks(struct report *report, struct err *err)
{
    const size_t *without = report->files->without;
    int code = make_room(report, report->run->count, err);
    for (size_t i = 0; i < report->run->count && !code; i++) {
        if (without[i] && !report->points[i].is_measured)
            report->findings[report->finding_count++] = (struct finding){.kind = AUDIT_KIND_NO_WEIGHTS,
                                                                         .basis = BASIS_FILES,
                                                                         .index = i,
                                                                         .other = i,
                                                                         .step = report->points[i].step,
                                                                         .evidence = (double)without[i]};
    }
    return code;
}

static int finding_compare(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    return (x->kind > y->kind) - (x->kind < y->kind);
}

enum equality { EQUALITY_UNKNOWN, EQUALITY_NO, EQUALITY_YES };

/* Of all weights that make up the model. Their digest, which comes with a perplexity, is formed of the files'
 * digests where those are known: then equal weights may have two, by what else is in the files. On the hub
 * they are, though no list of files may be: offline the cache tells a part of it. */
static enum equality compare_models(const struct finding *finding, const struct api_run *run,
                                    const struct api_audit_files *files)
{
    const char *one = run->points[finding->index].weights, *other = run->points[finding->other].weights;
    uint64_t content = files->contents[finding->index], other_content = files->contents[finding->other];
    if (!is_repetition(finding->kind))
        return EQUALITY_UNKNOWN;
    if ((content && content == other_content) || (one[0] && strcmp(one, other) == 0))
        return EQUALITY_YES;
    const int is_of_content = local_name_is(run->model.name) && !content && !other_content;
    return one[0] && other[0] && is_of_content ? EQUALITY_NO : EQUALITY_UNKNOWN;
}

static const char *why_unchanged(const struct api_run_point *point, enum equality models, enum step_unit unit)
{
    if (point->not_finite >= 1.0)
        return "nothing in it is finite";
    if (models == EQUALITY_NO)
        return "other weights of the model differ, so that this tensor alone was not trained";
    if (unit != STEP_UNIT_STEPS) /* names lie many updates apart */
        return "training stood still, or one checkpoint was published under both names";
    return "no update happened yet (a warm-up begins at rate 0), or training stood still";
}

static void explain(const struct finding *finding, const struct api_run *run, enum equality models,
                    char *text)
{
    const struct api_run_point *point = &run->points[finding->index], *other = &run->points[finding->other];
    const char *what = finding->basis == BASIS_FILES ? "weight files" : "measured tensor";
    char place[STEP_UNIT_TEXT_SIZE], every[STEP_UNIT_TEXT_SIZE];
    switch (finding->kind) {
    case AUDIT_KIND_DUPLICATE:
        (void)snprintf(text, TEXT_SIZE,
                       "%.120s serves the same %s as %.120s, a revision elsewhere in the run%s", point->name,
                       what, other->name,
                       models == EQUALITY_NO ? ", but other weights of the model differ" : "");
        break;
    case AUDIT_KIND_UNCHANGED:
        (void)snprintf(text, TEXT_SIZE, "%.120s has the same %s as %.120s before it: %s", point->name, what,
                       other->name, why_unchanged(point, models, run->model.step_unit));
        break;
    case AUDIT_KIND_OUT_OF_LINE:
        (void)snprintf(text, TEXT_SIZE,
                       "%.120s: the mean square displacement is %.3g times what its neighbours let expect, "
                       "and those are nearer to each other than to it",
                       point->name, exp(finding->evidence));
        break;
    case AUDIT_KIND_MISSING:
        step_unit_write_place(run->model.step_unit, finding->step, place);
        step_unit_write_every(run->model.step_unit, finding->evidence, every);
        (void)snprintf(text, TEXT_SIZE, "%s has no revision; elsewhere there is one every %s", place, every);
        break;
    case AUDIT_KIND_NOT_FINITE:
        (void)snprintf(text, TEXT_SIZE,
                       "%.120s: %.3g %% of its values are NaN or Inf, which enter no other number: training "
                       "diverged, or the file is spoilt",
                       point->name, 100.0 * finding->evidence);
        break;
    case AUDIT_KIND_REWRITTEN:
        (void)snprintf(text, TEXT_SIZE, "%.120s holds other weights than when it was measured before: %s",
                       point->name,
                       finding->is_of_one_run
                           ? "training went on from an earlier checkpoint, or began anew; what is older than "
                             "that and later in the run has left the series"
                           : "another run took this folder; what the run before it left has left the series");
        break;
    case AUDIT_KIND_NO_WEIGHTS:
        (void)snprintf(text, TEXT_SIZE,
                       "%.120s serves no weights, so nothing of it can be measured: of its files (%.0f) none "
                       "is one of " WEIGHT_LAYOUT_FILES,
                       point->name, finding->evidence);
        break;
    case AUDIT_KIND_COUNT:
        break;
    }
}

static void print_finding(struct api_json *json, const struct finding *finding, const struct api_run *run,
                          const struct api_audit_files *files)
{
    const struct api_run_point *point = &run->points[finding->index], *other = &run->points[finding->other];
    int is_missing = finding->kind == AUDIT_KIND_MISSING, is_repeated = is_repetition(finding->kind);
    char text[TEXT_SIZE] = "";
    enum equality models = compare_models(finding, run, files);
    explain(finding, run, models, text);
    api_json_open_object(json, NULL);
    api_json_text(json, "kind", audit_kind_name(finding->kind));
    api_json_text(json, "basis", basis_names[finding->basis]);
    api_json_text(json, "revision", is_missing ? NULL : point->name);
    api_json_integer(json, "step", (int64_t)finding->step);
    api_json_text(json, "other", is_repeated ? other->name : NULL);
    if (is_repeated)
        api_json_integer(json, "other_step", other->step);
    else
        api_json_null(json, "other_step");
    api_json_text_or_null(json, "digest",
                          !is_repeated                    ? NULL
                          : finding->basis == BASIS_FILES ? files->digests[finding->index]
                                                          : point->digest);
    if (is_repeated && point->digest[0] && other->digest[0])
        api_json_boolean(json, "is_tensor_equal", strcmp(point->digest, other->digest) == 0);
    else
        api_json_null(json, "is_tensor_equal");
    if (models != EQUALITY_UNKNOWN)
        api_json_boolean(json, "is_model_equal", models == EQUALITY_YES);
    else
        api_json_null(json, "is_model_equal");
    api_json_real(json, "evidence", finding->evidence);
    api_json_text(json, "text", text);
    api_json_close_object(json);
}

static int render(struct store *store, const struct report *report, struct buf *body, struct err *err)
{
    const struct api_run *run = report->run;
    size_t counts[AUDIT_KIND_COUNT] = {0};
    struct api_json json;
    api_json_init(&json, body);
    api_json_open_object(&json, NULL);
    api_json_text(&json, "model", run->model.name);
    api_json_text_or_null(&json, "tensor", run->tensor);
    api_json_integer(&json, "definition", AUDIT_DEFINITION);
    api_json_text(&json, "step_unit", step_unit_name(run->model.step_unit));
    api_json_integer(&json, "revisions_known", (int64_t)run->count);
    api_json_integer(&json, "revisions_with_files", (int64_t)report->files->known);
    api_json_integer(&json, "revisions_measured", (int64_t)run->measured);
    api_json_integer(&json, "revisions_left_out", (int64_t)run->left_out);
    int code = api_passed_over_append(store, run->model.id, &json, err);
    api_json_integer(&json, "distinct_files", (int64_t)report->by_files.distinct);
    api_json_integer(&json, "distinct_tensors", (int64_t)report->by_tensor.distinct);
    api_json_real(&json, "grid", report->by_tensor.grid);
    for (size_t i = 0; i < report->finding_count; i++)
        counts[report->findings[i].kind]++;
    api_json_open_object(&json, "counts");
    for (int kind = 0; kind < AUDIT_KIND_COUNT; kind++)
        api_json_integer(&json, audit_kind_name((enum audit_kind)kind), (int64_t)counts[kind]);
    api_json_close_object(&json);
    api_json_open_array(&json, "findings");
    for (size_t i = 0; i < report->finding_count; i++)
        print_finding(&json, &report->findings[i], run, report->files);
    api_json_close_array(&json);
    api_json_close_object(&json);
    return code;
}

/* Equal weight files, which are known before anything is measured. */
static int judge_files(struct report *report, const struct audit_options *options, struct err *err)
{
    const struct api_run *run = report->run;
    for (size_t i = 0; i < run->count; i++)
        report->points[i] = (struct audit_point){.step = run->series[i].step,
                                                 .content = report->files->contents[i],
                                                 .msd = (double)NAN,
                                                 .lag1_msd = (double)NAN,
                                                 .skip_msd = (double)NAN};
    int code = audit_revisions(report->points, run->count, options, &report->by_files, err);
    return code ? code : take_findings(report, &report->by_files, BASIS_FILES, err);
}

/* What was measured. */
static int judge_tensors(struct store *store, struct report *report, const struct audit_options *options,
                         struct err *err)
{
    const struct api_run *run = report->run;
    for (size_t i = 0; i < run->count; i++) {
        struct audit_point *point = &report->points[i];
        const struct series_point *series = &run->series[i];
        point->content = series->content;
        point->not_finite = run->points[i].not_finite;
        point->is_measured = series->is_measured;
        point->msd = series->msd[SERIES_ROWS_TOKENS];
        point->lag1_msd = series->lag1_back ? (double)NAN : series->lag1_msd[SERIES_ROWS_TOKENS];
    }
    int code = api_audit_skips_measure(store, run, options, report->points, err);
    if (!code)
        code = audit_revisions(report->points, run->count, options, &report->by_tensor, err);
    return code ? code : take_findings(report, &report->by_tensor, BASIS_TENSOR, err);
}

static int audit(struct store *store, const struct api_run *run, const struct api_audit_files *files,
                 const struct api_audit_rewrites *rewrites, struct buf *body, struct err *err)
{
    const struct audit_options options = audit_options_default();
    struct audit_point *points = calloc(run->count + 1, sizeof *points);
    struct report report = {.run = run, .files = files, .points = points};
    int code = points ? 0 : err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    if (!code)
        code = judge_files(&report, &options, err);
    if (!code)
        code = judge_tensors(store, &report, &options, err);
    if (!code)
        code = take_rewrites(&report, rewrites, err);
    if (!code)
        code = take_lacks(&report, err);
    if (!code) {
        qsort(report.findings, report.finding_count, sizeof *report.findings, finding_compare);
        code = render(store, &report, body, err);
    }
    audit_free(&report.by_files);
    audit_free(&report.by_tensor);
    free(points);
    free(report.findings);
    return code;
}

int api_audit_append(struct store *store, const struct model_row *model, const char *tensor, struct buf *body,
                     struct err *err)
{
    struct api_run run = {0};
    struct api_audit_files files = {0};
    struct api_audit_rewrites rewrites = {0};
    int code = api_run_read(store, model, tensor, &run, err);
    if (!code)
        code = api_audit_files_read(store, &run, &files, err);
    if (!code)
        code = api_audit_rewrites_read(store, &run, &rewrites, err);
    if (!code)
        code = audit(store, &run, &files, &rewrites, body, err);
    if (!code)
        code = buf_check(body, "audit", err);
    api_audit_files_free(&files);
    api_audit_rewrites_free(&rewrites);
    api_run_free(&run);
    return code;
}

int api_get_audit(struct api_request *request, struct api_response *response, struct err *err)
{
    struct model_row model = {.id = 0};
    const char *tensor = NULL;
    int code = api_query_tensor(request, &tensor, response, err);
    if (!code)
        code = api_query_model(request, &model, err);
    if (!code)
        code = api_audit_append(request->context->store, &model, tensor, &response->body, err);
    if (!code) /* what it has read is whole: the model was not removed meanwhile */
        code = models_get(request->context->store, model.id, &model, err);
    return code;
}
