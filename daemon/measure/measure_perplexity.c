#include "daemon/measure/measure_perplexity.h"

#include "daemon/measure/scorer.h"
#include "daemon/measure/scoring.h"
#include "daemon/sweep/revision_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)PERPLEXITY_MODE_LAST_WORD == (int)PASSAGES_MODE_LAST_WORD &&
                   (int)PERPLEXITY_MODE_TOKENS == (int)PASSAGES_MODE_TOKENS &&
                   (int)PERPLEXITY_MODE_TEXT_MEAN == (int)PASSAGES_MODE_TEXT_MEAN,
               "the modes of store and text are in the same order");

/* A result of another precision is another result. */
static void set_precision(const char *precision, struct perplexity_row *row)
{
    (void)snprintf(row->precision, sizeof row->precision, "%s", precision);
}

static void take_identity(const struct scorer *scorer, const struct scoring_identity *identity,
                          struct perplexity_row *row)
{
    *row = (struct perplexity_row){.mode = (enum perplexity_mode)identity->mode,
                                   .definition = identity->definition};
    (void)snprintf(row->weights_digest, sizeof row->weights_digest, "%s", identity->weights_digest);
    (void)snprintf(row->dataset_digest, sizeof row->dataset_digest, "%s", identity->dataset_digest);
    (void)snprintf(row->tokenizer_digest, sizeof row->tokenizer_digest, "%s", identity->tokenizer_digest);
    (void)snprintf(row->parameters, sizeof row->parameters, "%s", identity->parameters);
    (void)snprintf(row->backend, sizeof row->backend, "%s", scorer->backend);
    set_precision(scorer->precision, row);
}

static void take_outcome(const struct scoring_outcome *outcome, struct perplexity_row *row)
{
    const struct score_summary *summary = &outcome->summary;
    row->documents = (int64_t)summary->document_count;
    row->tokens = (int64_t)summary->token_count;
    row->nll_sum = summary->nll_sum;
    row->perplexity = summary->perplexity;
    row->perplexity_stderr = summary->perplexity_stderr;
    row->accuracy = summary->accuracy;
    row->accuracy_stderr = summary->accuracy_stderr;
    row->seconds = outcome->load_seconds + outcome->score_seconds;
}

/* Fetches the weights and runs the model when it is its turn; again in float32 where half precision does not
 * hold its numbers, and the weights are not at fault. */
static int score(struct measure_job *job, struct scoring *scoring, const struct scorer *scorer,
                 struct perplexity_row *row, struct err *err)
{
    struct scoring_outcome outcome;
    int code = scoring_fetch(scoring, err);
    measure_note_progress(job);
    if (code)
        return code;
    const int is_alone = measure_is_alone(job->task);
    code = scoring_run(scoring, scorer->turns, SCORE_PRECISION_DEFAULT, is_alone, &outcome, err);
    if (!code && scorer->wide && scoring_has_overflowed(scoring, &outcome)) {
        scorers_report_overflow(job->shared->scorers, job->task->sweep_id, job->revision.name);
        set_precision(scorer->wide, row);
        code = scoring_run(scoring, scorer->turns, SCORE_PRECISION_F32, is_alone, &outcome, err);
    }
    if (code)
        return code;
    scorers_report_slow(job->shared->scorers, job->task->sweep_id, scoring_result(scoring)->slow);
    take_outcome(&outcome, row);
    return 0;
}

static int open_data(struct measure_job *job, struct source **ret_data, struct err *err)
{
    char *path = NULL;
    const char *name = job->spec->dataset ? job->spec->dataset : DATA_CACHE_STANDARD;
    int code = data_cache_get(job->shared->data, job->task->sweep_id, name, job->cancel, &path, err);
    if (!code)
        code = source_open_file(path, ret_data, err);
    free(path);
    return code ? err_wrap(err, "data set %s", name) : 0;
}

/* What was scored again is not tried in half precision a second time. Not found, *row is as it was. */
static int find(struct measure_job *job, const struct scorer *scorer, struct perplexity_row *row,
                struct err *err)
{
    struct perplexity_row key = *row, found;
    int code = perplexities_find(job->shared->store, &key, &found, err);
    if (code == ERR_NOT_FOUND && scorer->wide) {
        *err = (struct err)ERR_INIT;
        set_precision(scorer->wide, &key);
        code = perplexities_find(job->shared->store, &key, &found, err);
    }
    if (!code)
        *row = found;
    return code;
}

/* Looks the result up, and computes it if there is none. */
static int find_or_score(struct measure_job *job, const struct scoring_request *request,
                         struct perplexity_row *row, struct revision_file_row **ret_files,
                         size_t *ret_file_count, struct err *err)
{
    struct scoring *scoring = NULL;
    struct scorer scorer;
    int code = scoring_open(request, &scoring, err);
    if (!code)
        code =
            scorers_choose(job->shared->scorers, job->task->sweep_id, scoring_model(scoring), &scorer, err);
    if (!code) {
        take_identity(&scorer, scoring_identity(scoring), row);
        code = find(job, &scorer, row, err);
        if (code == ERR_NOT_FOUND) {
            *err = (struct err)ERR_INIT;
            code = score(job, scoring, &scorer, row, err);
        }
    }
    if (!code)
        code = scoring_list_files(scoring, ret_files, ret_file_count, err);
    scoring_close(scoring);
    return code;
}

int measure_perplexity(struct measure_job *job, struct perplexity_row *row,
                       struct revision_file_row **ret_files, size_t *ret_file_count, struct err *err)
{
    struct revision_source source;
    struct scoring_request request = {
        .window_tokens = (uint32_t)job->spec->window,
        .stride_tokens = (uint32_t)job->spec->stride,
        .takes_file = job->spec->tokenizer && strcmp(job->spec->tokenizer, "file") == 0,
        .dataset = {.field = job->spec->field, .limit = (uint64_t)job->spec->limit},
        .pool = job->shared->pool,
        .digests = job->shared->digests,
        .passages = job->shared->passages,
        .cancel = job->cancel};
    int code = passages_mode_parse(job->spec->mode ? job->spec->mode : "last_word", &request.mode, err);
    if (!code)
        code = revision_source_open(&source, job->shared->store, job->repository, &job->revision, err);
    if (code)
        return code;
    request.repository = source.repository;
    request.tree = source.tree;
    code = open_data(job, &request.data, err);
    if (!code)
        code = find_or_score(job, &request, row, ret_files, ret_file_count, err);
    source_close(request.data);
    revision_source_close(&source);
    return code ? err_wrap(err, "perplexity") : 0;
}
