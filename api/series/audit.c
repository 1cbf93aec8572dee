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

/* Of equal revisions one is right. If the last one is among them, that one is: runs are known to serve their
 * final weights under early names. Otherwise the earliest. */
static void name_suspect(struct finding *finding, const struct audit_point *points, size_t count)
{
    size_t last = count - 1;
    if (finding->kind != AUDIT_KIND_DUPLICATE || points[finding->index].content != points[last].content)
        return;
    finding->index = finding->index == last ? finding->other : finding->index;
    finding->other = last;
}

static int is_repetition(enum audit_kind kind)
{
    return kind == AUDIT_KIND_DUPLICATE || kind == AUDIT_KIND_UNCHANGED;
}

/* Takes over what one pass has found, without what is there already. */
static void take_findings(const struct audit *audit, const struct audit_point *points, size_t count,
                          enum basis basis, struct finding *findings, size_t *finding_count)
{
    size_t known = *finding_count;
    for (size_t i = 0; i < audit->finding_count; i++) {
        const struct audit_finding *from = &audit->findings[i];
        struct finding finding = {.kind = from->kind,
                                  .basis = basis,
                                  .index = from->index,
                                  .other = from->other,
                                  .step = from->step,
                                  .evidence = from->evidence};
        int is_new = 1;
        if (is_repetition(finding.kind)) {
            name_suspect(&finding, points, count);
            finding.step = points[finding.index].step;
            for (size_t k = 0; k < known && is_new; k++)
                is_new = !is_repetition(findings[k].kind) || findings[k].index != finding.index;
        } else if (basis == BASIS_FILES) {
            is_new = 0; /* the other pass sees these, too */
        } else {
            finding.basis = finding.kind == AUDIT_KIND_MISSING      ? BASIS_STEPS
                            : finding.kind == AUDIT_KIND_NOT_FINITE ? BASIS_VALUES
                                                                    : BASIS_DISPLACEMENT;
        }
        if (is_new)
            findings[(*finding_count)++] = finding;
    }
}

static void take_rewrites(const struct api_audit_rewrites *rewrites, const struct audit_point *points,
                          struct finding *findings, size_t *finding_count)
{
    for (size_t i = 0; i < rewrites->count; i++)
        findings[(*finding_count)++] = (struct finding){.kind = AUDIT_KIND_REWRITTEN,
                                                        .basis = BASIS_VALUES,
                                                        .index = rewrites->rows[i].index,
                                                        .other = rewrites->rows[i].index,
                                                        .step = points[rewrites->rows[i].index].step,
                                                        .evidence = rewrites->rows[i].cosine,
                                                        .is_of_one_run = rewrites->rows[i].is_of_one_run};
}

/* What was measured all the same was served by somebody else (a mirror). */
static void take_lacks(const struct api_audit_files *files, const struct audit_point *points, size_t count,
                       struct finding *findings, size_t *finding_count)
{
    for (size_t i = 0; i < count; i++) {
        if (files->without[i] && !points[i].is_measured)
            findings[(*finding_count)++] = (struct finding){.kind = AUDIT_KIND_NO_WEIGHTS,
                                                            .basis = BASIS_FILES,
                                                            .index = i,
                                                            .other = i,
                                                            .step = points[i].step,
                                                            .evidence = (double)files->without[i]};
    }
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
 * digests where those are known: then equal weights may have two, by what else is in the files. */
static enum equality compare_models(const struct finding *finding, const struct api_run *run,
                                    const struct api_audit_files *files)
{
    const char *one = run->points[finding->index].weights, *other = run->points[finding->other].weights;
    uint64_t content = files->contents[finding->index], other_content = files->contents[finding->other];
    if (!is_repetition(finding->kind))
        return EQUALITY_UNKNOWN;
    if ((content && content == other_content) || (one[0] && strcmp(one, other) == 0))
        return EQUALITY_YES;
    return one[0] && other[0] && !content && !other_content ? EQUALITY_NO : EQUALITY_UNKNOWN;
}

static const char *why_unchanged(const struct api_run_point *point, enum equality models)
{
    if (point->not_finite >= 1.0)
        return "nothing in it is finite";
    if (models == EQUALITY_NO)
        return "other weights of the model differ, so that this tensor alone was not trained";
    return "no update happened yet (a warm-up begins at rate 0), or training stood still";
}

static void explain(const struct finding *finding, const struct api_run *run, enum equality models,
                    char *text)
{
    const struct api_run_point *point = &run->points[finding->index], *other = &run->points[finding->other];
    const char *what = finding->basis == BASIS_FILES ? "weight files" : "measured tensor";
    switch (finding->kind) {
    case AUDIT_KIND_DUPLICATE:
        (void)snprintf(text, TEXT_SIZE,
                       "%.120s serves the same %s as %.120s, a revision elsewhere in the run%s", point->name,
                       what, other->name,
                       models == EQUALITY_NO ? ", but other weights of the model differ" : "");
        break;
    case AUDIT_KIND_UNCHANGED:
        (void)snprintf(text, TEXT_SIZE, "%.120s has the same %s as %.120s before it: %s", point->name, what,
                       other->name, why_unchanged(point, models));
        break;
    case AUDIT_KIND_OUT_OF_LINE:
        (void)snprintf(text, TEXT_SIZE,
                       "%.120s: the mean square displacement is %.3g times what its neighbours let expect, "
                       "and those are nearer to each other than to it",
                       point->name, exp(finding->evidence));
        break;
    case AUDIT_KIND_MISSING:
        (void)snprintf(text, TEXT_SIZE, "step %.0f has no revision; elsewhere there is one every %.0f steps",
                       finding->step, finding->evidence);
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

static int render(struct store *store, const struct api_run *run, const struct api_audit_files *files,
                  const struct audit *by_files, const struct audit *by_tensor, const struct finding *findings,
                  size_t finding_count, struct buf *body, struct err *err)
{
    size_t counts[AUDIT_KIND_COUNT] = {0};
    struct api_json json;
    api_json_init(&json, body);
    api_json_open_object(&json, NULL);
    api_json_text(&json, "model", run->model.name);
    api_json_text_or_null(&json, "tensor", run->tensor);
    api_json_integer(&json, "definition", AUDIT_DEFINITION);
    api_json_integer(&json, "revisions_known", (int64_t)run->count);
    api_json_integer(&json, "revisions_with_files", (int64_t)files->known);
    api_json_integer(&json, "revisions_measured", (int64_t)run->measured);
    api_json_integer(&json, "revisions_left_out", (int64_t)run->left_out);
    int code = api_passed_over_append(store, run->model.id, &json, err);
    api_json_integer(&json, "distinct_files", (int64_t)by_files->distinct);
    api_json_integer(&json, "distinct_tensors", (int64_t)by_tensor->distinct);
    api_json_real(&json, "grid", by_tensor->grid);
    for (size_t i = 0; i < finding_count; i++)
        counts[findings[i].kind]++;
    api_json_open_object(&json, "counts");
    for (int kind = 0; kind < AUDIT_KIND_COUNT; kind++)
        api_json_integer(&json, audit_kind_name((enum audit_kind)kind), (int64_t)counts[kind]);
    api_json_close_object(&json);
    api_json_open_array(&json, "findings");
    for (size_t i = 0; i < finding_count; i++)
        print_finding(&json, &findings[i], run, files);
    api_json_close_array(&json);
    api_json_close_object(&json);
    return code;
}

static int audit(struct store *store, const struct api_run *run, const struct api_audit_files *files,
                 const struct api_audit_rewrites *rewrites, struct buf *body, struct err *err)
{
    struct audit_options options = audit_options_default();
    struct audit by_files = {0}, by_tensor = {0};
    struct audit_point *points = calloc(run->count + 1, sizeof *points);
    struct finding *findings = NULL;
    size_t finding_count = 0;
    int code = points ? 0 : err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    for (size_t i = 0; i < run->count && !code; i++)
        points[i] = (struct audit_point){.step = run->series[i].step,
                                         .content = files->contents[i],
                                         .msd = (double)NAN,
                                         .lag1_msd = (double)NAN,
                                         .skip_msd = (double)NAN};
    if (!code)
        code = audit_revisions(points, run->count, &options, &by_files, err);
    if (!code) {
        findings = calloc(by_files.finding_count + 1, sizeof *findings);
        code = findings ? 0 : err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    }
    if (!code)
        take_findings(&by_files, points, run->count, BASIS_FILES, findings, &finding_count);
    for (size_t i = 0; i < run->count && !code; i++) {
        points[i].content = run->series[i].content;
        points[i].not_finite = run->points[i].not_finite;
        points[i].is_measured = run->series[i].is_measured;
        points[i].msd = run->series[i].msd[SERIES_ROWS_TOKENS];
        points[i].lag1_msd =
            run->series[i].lag1_back ? (double)NAN : run->series[i].lag1_msd[SERIES_ROWS_TOKENS];
    }
    if (!code)
        code = api_audit_skips_measure(store, run, &options, points, err);
    if (!code)
        code = audit_revisions(points, run->count, &options, &by_tensor, err);
    if (!code) {
        struct finding *larger =
            realloc(findings, (finding_count + by_tensor.finding_count + rewrites->count + run->count + 1) *
                                  sizeof *findings);
        if (larger)
            findings = larger;
        else
            code = err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    }
    if (!code) {
        take_findings(&by_tensor, points, run->count, BASIS_TENSOR, findings, &finding_count);
        take_rewrites(rewrites, points, findings, &finding_count);
        take_lacks(files, points, run->count, findings, &finding_count);
        qsort(findings, finding_count, sizeof *findings, finding_compare);
        code = render(store, run, files, &by_files, &by_tensor, findings, finding_count, body, err);
    }
    audit_free(&by_files);
    audit_free(&by_tensor);
    free(points);
    free(findings);
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
