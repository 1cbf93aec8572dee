#include "daemon/analysis/audit.h"

#include "api/form/json.h"
#include "api/resource/context.h"
#include "api/resource/query.h"
#include "api/series/audit.h"
#include "api/series/handlers.h"
#include "api/series/run.h"
#include "daemon/analysis/sample.h"
#include "daemon/base/buf.h"
#include "daemon/base/digest.h"
#include "store/distributions.h"
#include "store/revisions.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE 512
#define FILES_TEXT_MAX ((size_t)8 * 1024 * 1024) /* of one revision: paths and digests */

/* What a finding rests on. */
enum basis { BASIS_FILES, BASIS_TENSOR, BASIS_DISPLACEMENT, BASIS_STEPS, BASIS_VALUES };
static const char *const basis_names[] = {"files", "tensor", "displacement", "steps", "values"};

struct finding {
    enum audit_kind kind;
    enum basis basis;
    size_t index, other; /* of points */
    double step, evidence;
};

/* Weight files of the revisions, as the hub lists them. */
struct files {
    const struct api_run *run;
    size_t at; /* the point that files are collected of */
    struct buf text;
    uint64_t *contents;                 /* [points] a number for all files of a revision; 0: not known */
    char (*digests)[STORE_DIGEST_SIZE]; /* [points] of the only file; "": several */
    size_t known;
    int code;
    struct err *err;
};

static void end_revision(struct files *files)
{
    char hex[DIGEST_SHA256_HEX_SIZE], head[17];
    if (files->text.size == 0 || files->code)
        return;
    files->code = buf_check(&files->text, "files of a revision", files->err);
    if (!files->code)
        files->code = digest_sha256_hex(buf_text(&files->text), files->text.size, hex, files->err);
    buf_free(&files->text);
    buf_init(&files->text, FILES_TEXT_MAX);
    if (files->code)
        return;
    (void)snprintf(head, sizeof head, "%.16s", hex);
    uint64_t number = strtoull(head, NULL, 16);
    files->contents[files->at] = number ? number : 1;
    files->known++;
}

static int take_file(void *context, const struct revision_row *revision, const struct revision_file_row *file)
{
    struct files *files = context;
    const struct api_run *run = files->run;
    if (files->at >= run->count || run->points[files->at].revision_id != revision->id) {
        end_revision(files);
        size_t at = files->at < run->count ? files->at : 0;
        while (at < run->count && run->points[at].revision_id != revision->id)
            at++;
        if (at == run->count)
            return files->code; /* not part of the run */
        files->at = at;
    }
    int is_first = files->text.size == 0;
    buf_appendf(&files->text, "%s %" PRId64 " %s\n", file->path, file->size_bytes, file->digest);
    (void)snprintf(files->digests[files->at], sizeof files->digests[files->at], "%s",
                   is_first ? file->digest : "");
    return files->code;
}

static int read_files(struct store *store, struct files *files, struct err *err)
{
    size_t count = files->run->count;
    files->err = err;
    files->contents = calloc(count + 1, sizeof *files->contents);
    files->digests = calloc(count + 1, sizeof *files->digests);
    buf_init(&files->text, FILES_TEXT_MAX);
    if (!files->contents || !files->digests)
        return err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    int code = revisions_list_files(store, files->run->model.id, NULL, API_RUN_POINTS_MAX + 1, take_file,
                                    files, err);
    if (!code) {
        end_revision(files);
        code = files->code;
    }
    buf_free(&files->text);
    return code;
}

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
        struct finding finding = {from->kind, basis, from->index, from->other, from->step, from->evidence};
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

static int finding_compare(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    return (x->kind > y->kind) - (x->kind < y->kind);
}

static void explain(const struct finding *finding, const struct api_run *run, char *text)
{
    const struct api_run_point *point = &run->points[finding->index], *other = &run->points[finding->other];
    const char *what = finding->basis == BASIS_FILES ? "weight files" : "measured tensor";
    switch (finding->kind) {
    case AUDIT_KIND_DUPLICATE:
        (void)snprintf(text, TEXT_SIZE,
                       "%.120s serves the same %s as %.120s, a revision elsewhere in the run", point->name,
                       what, other->name);
        break;
    case AUDIT_KIND_UNCHANGED:
        (void)snprintf(text, TEXT_SIZE, "%.120s has the same %s as %.120s before it: %s", point->name, what,
                       other->name,
                       point->not_finite >= 1.0 ? "nothing in it is finite"
                                                : "no update happened yet (a warm-up begins at rate 0), or "
                                                  "training stood still");
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
    case AUDIT_KIND_COUNT:
        break;
    }
}

static void print_finding(struct api_json *json, const struct finding *finding, const struct api_run *run,
                          const struct files *files)
{
    const struct api_run_point *point = &run->points[finding->index], *other = &run->points[finding->other];
    int is_missing = finding->kind == AUDIT_KIND_MISSING, is_repeated = is_repetition(finding->kind);
    char text[TEXT_SIZE] = "";
    explain(finding, run, text);
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
    api_json_real(json, "evidence", finding->evidence);
    api_json_text(json, "text", text);
    api_json_close_object(json);
}

static void render(const struct api_run *run, const struct files *files, const struct audit *by_files,
                   const struct audit *by_tensor, const struct finding *findings, size_t finding_count,
                   struct buf *body)
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
}

/* Samples of the measured points beside those that need them. */
struct neighbours {
    const struct api_run *run;
    float **values; /* [points] NULL: not wanted, or not there */
    const char *is_wanted;
    size_t sampled, at;
    int has_no_memory;
};

static int take_sample(void *context, const struct revision_row *revision, const struct sample_row *row)
{
    struct neighbours *neighbours = context;
    const struct api_run *run = neighbours->run;
    size_t i = neighbours->at;
    while (i < run->count && run->points[i].revision_id != revision->id)
        i++;
    if (i == run->count)
        return 0; /* not part of the run */
    neighbours->at = i + 1;
    if (!neighbours->is_wanted[i])
        return 0;
    neighbours->values[i] = malloc(neighbours->sampled * sizeof(float));
    neighbours->has_no_memory = !neighbours->values[i];
    if (neighbours->values[i])
        memcpy(neighbours->values[i], row->values, neighbours->sampled * sizeof(float));
    return neighbours->has_no_memory;
}

/* Measures how far the neighbours of each suspect are from each other, on the sampled entries. */
static int measure_skips(struct store *store, const struct api_run *run, const struct audit_options *options,
                         struct audit_point *points, struct err *err)
{
    char *is_wanted = calloc(run->count + 1, 1);
    float **values = calloc(run->count + 1, sizeof *values);
    struct neighbours neighbours = {
        .run = run, .values = values, .is_wanted = is_wanted, .sampled = api_run_sampled(run)};
    size_t suspects = 0, before = 0, after = 0;
    int code = is_wanted && values ? 0 : err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    for (size_t i = 1; i + 1 < run->count && !code; i++) {
        if (!audit_is_suspect(points, run->count, i, options, &before, &after))
            continue;
        is_wanted[before] = is_wanted[after] = 1;
        suspects++;
    }
    if (!code && suspects)
        code = samples_list(store, run->model.id, run->tensor, run->token_rows, SAMPLE_DEFINITION,
                            SAMPLE_SEED, (int64_t)neighbours.sampled, NULL, API_RUN_POINTS_MAX, take_sample,
                            &neighbours, err);
    if (!code && neighbours.has_no_memory)
        code = err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    for (size_t i = 1; i + 1 < run->count && !code; i++) {
        if (audit_is_suspect(points, run->count, i, options, &before, &after) && values[before] &&
            values[after])
            points[i].skip_msd =
                sample_displacement_of(values[before], values[after], neighbours.sampled).msd;
    }
    for (size_t i = 0; values && i < run->count; i++)
        free(values[i]);
    free(values);
    free(is_wanted);
    return code;
}

static int audit(struct store *store, const struct api_run *run, const struct files *files, struct buf *body,
                 struct err *err)
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
        code = measure_skips(store, run, &options, points, err);
    if (!code)
        code = audit_revisions(points, run->count, &options, &by_tensor, err);
    if (!code) {
        struct finding *larger =
            realloc(findings, (finding_count + by_tensor.finding_count + 1) * sizeof *findings);
        if (larger)
            findings = larger;
        else
            code = err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    }
    if (!code) {
        take_findings(&by_tensor, points, run->count, BASIS_TENSOR, findings, &finding_count);
        qsort(findings, finding_count, sizeof *findings, finding_compare);
        render(run, files, &by_files, &by_tensor, findings, finding_count, body);
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
    struct files files = {.run = &run};
    int code = api_run_read(store, model, tensor, &run, err);
    if (!code)
        code = read_files(store, &files, err);
    if (!code)
        code = audit(store, &run, &files, body, err);
    if (!code)
        code = buf_check(body, "audit", err);
    free(files.contents);
    free(files.digests);
    api_run_free(&run);
    return code;
}

int api_get_audit(struct api_request *request, struct api_response *response, struct err *err)
{
    struct model_row model;
    const char *tensor = NULL;
    int code = api_query_tensor(request, &tensor, response, err);
    if (!code)
        code = api_query_model(request, &model, err);
    if (!code)
        code = api_audit_append(request->context->store, &model, tensor, &response->body, err);
    return code;
}
