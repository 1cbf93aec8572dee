/*
 * A training run in memory: the points of one tensor's series, in the form that daemon/analysis reads.
 *
 * A point is a current revision with a step. Analyses need steps that ascend; of a model whose training has
 * stages (steps that begin anew) or several revisions of one step, those that do not ascend are left out and
 * counted.
 */
#ifndef BIFURCATED_API_SERIES_RUN_H
#define BIFURCATED_API_SERIES_RUN_H

#include "api/form/json.h"
#include "daemon/analysis/series.h"
#include "daemon/base/err.h"
#include "store/distributions.h"
#include "store/models.h"
#include "store/series.h"

#include <stddef.h>
#include <stdint.h>

#define API_RUN_REVISIONS_MAX 20000

struct api_run_point {
    char name[LIMIT_REVISION_NAME_BYTES + 1];
    int64_t revision_id;
    int64_t step;
    double tokens; /* of training until then; NaN: not known (daemon/analysis/tokens_seen.h) */
    char digest[STORE_DIGEST_SIZE];  /* of the tensor's bytes; "": not measured */
    char weights[STORE_DIGEST_SIZE]; /* of all weights of the model; "": no perplexity was measured */
    unsigned other_texts; /* bit of each perplexity_mode: its texts are not those that most points have */
    double not_finite;    /* share of the tensor's values that are NaN or Inf; 0: not measured */
    /* quantiles 0.001 and 0.999 of each distribution; NaN where not measured */
    double low[SERIES_VARIANT_COUNT], high[SERIES_VARIANT_COUNT];
};

struct api_run {
    struct model_row model;
    char tensor[LIMIT_TENSOR_NAME_BYTES + 1]; /* "" where the model's own is not known yet */
    /* of the newest measured revision; 0 without one */
    int64_t rows, columns, token_rows;
    size_t count, measured;
    size_t perplexities;       /* points with a perplexity of the mode and the texts that most have; no others
                                  are compared: two texts say nothing of each other */
    size_t perplexities_apart; /* with one of that mode, but of other texts, which is left out */
    size_t left_out;           /* revisions whose step does not ascend */
    size_t nobodys;            /* names that were asked for and that nobody has */
    enum perplexity_mode perplexity_mode;          /* the one that most revisions have */
    char reference[LIMIT_REVISION_NAME_BYTES + 1]; /* displacements are against this revision ... */
    double reference_step;        /* ... at this step; infinite if it is no point of the run */
    size_t references_apart;      /* displacements against another one, which are left out */
    struct api_run_point *points; /* [count] */
    struct series_point *series;  /* [count], in the same order */
};

/* Reads the series of a tensor (NULL: the model's own). The caller frees with api_run_free. ERR_LIMIT: more
 * than API_RUN_REVISIONS_MAX with a step. */
int api_run_read(struct store *store, const struct model_row *model, const char *tensor, struct api_run *run,
                 struct err *err);

/* Tokens of training at a step of the run; NaN where they are not known, or it is none. */
double api_run_tokens_at(const struct api_run *run, double step);

/* The point that is this revision; run->count where none is: it was left out, or came since. */
size_t api_run_find(const struct api_run *run, const struct revision_row *revision);

/* So many revisions the run was read from: the limit for lists of what else they have. */
int api_run_revisions(const struct api_run *run);

/* All zero is allowed. */
void api_run_free(struct api_run *run);

/* The learning-rate schedule where it is built in and it is known which optimiser steps the run's numbers
 * are; else SCHEDULE_KIND_UNKNOWN. */
void api_run_schedule(const struct model_row *model, struct schedule *schedule, struct schedule_clock *clock);

/* The analysis' options for this run as far as the stored numbers tell: the step of the reference, and its
 * schedule. */
void api_run_options(const struct api_run *run, struct series_options *options);

/* How many entries were sampled of each revision's token rows; 0 where nothing is measured. */
size_t api_run_sampled(const struct api_run *run);

/* Calls `row` with those entries of each revision that has them, in step order: at most `limit` after `after`
 * (NULL: from the start). */
int api_run_list_samples(struct store *store, const struct api_run *run, const struct revision_key *after,
                         int limit,
                         int (*row)(void *context, const struct revision_row *revision,
                                    const struct sample_row *row),
                         void *context, struct err *err);

/* Appends what an answer says of the sample: model, tensor, step_unit, rows, seed, definition, sampled. */
void api_run_describe_sample(const struct api_run *run, struct api_json *json);

#endif
