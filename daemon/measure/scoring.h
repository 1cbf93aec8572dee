/*
 * Scoring a revision: from its files and a data set to one perplexity.
 *
 *     scoring_open   reads config.json, the tokenizer's files and the checkpoint's header: what will be
 *                    measured, as an identity that can be looked up before any weights are fetched
 *     scoring_fetch  brings the weights into memory and turns the texts into passages; needs no device
 *     scoring_run    one pass on the device, when it is its turn
 *     scoring_close
 */
#ifndef BIFURCATED_MEASURE_SCORING_H
#define BIFURCATED_MEASURE_SCORING_H

#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/hub/repository.h"
#include "daemon/measure/device_turns.h"
#include "daemon/measure/file_digests.h"
#include "daemon/measure/passages_cache.h"
#include "daemon/measure/tensor_pool.h"
#include "daemon/text/dataset.h"
#include "daemon/text/passages.h"
#include "gpu/score.h"
#include "gpu/score_summary.h"
#include "store/revisions.h"

#include <stdatomic.h>

#define SCORING_PARAMETERS_BYTES 512 /* as the store's column */
#define SCORING_WINDOW_MAX 4096      /* where nobody asks for more: attention grows with its square */

struct scoring_request {
    struct repository *repository;      /* borrowed until scoring_close, as all below */
    const struct repository_tree *tree; /* the revision's files */
    struct source *data;                /* the data set's bytes; its name tells the kind (".jsonl.gz") */
    struct dataset_options dataset;     /* kind, field, limit */
    enum passages_mode mode;
    /* `tokens` only; 0: the context, but SCORING_WINDOW_MAX of a longer one, and half of that. */
    uint32_t window_tokens, stride_tokens;
    int takes_file; /* texts are cut as tokenizer.json says, also where transformers 5 builds another of it */
    struct tensor_pool *pool;        /* that may have some of the tensors in memory, or NULL */
    struct file_digests *digests;    /* that the data set's digest is kept in; NULL: it is always hashed */
    struct passages_cache *passages; /* that tokenised texts are kept in */
    uint64_t memory_budget_bytes;    /* for the device's model and scratch memory, if less than the device may
                                        give; 0: no bound of its own */
    int digest_threads; /* that hash weights whose files' digests are not known; 0: as many as pay off */
    int read_threads;   /* that read weights that lie in a file; 0: likewise */
    const atomic_bool *cancel; /* or NULL */
};

/* What makes two results the same. */
struct scoring_identity {
    /* Of the model's tensors and numbers: over the digests of the weight files, so that branches that serve
     * the same files need no download; where a file's digest is not known, over the tensors' bytes. */
    char weights_digest[DIGEST_SHA256_HEX_SIZE];
    char dataset_digest[DIGEST_SHA256_HEX_SIZE];   /* raw bytes of the data set's file */
    char tokenizer_digest[DIGEST_SHA256_HEX_SIZE]; /* raw bytes of tokenizer.json or tokenizer.model */
    char parameters[SCORING_PARAMETERS_BYTES];     /* canonical JSON of all that is not a default */
    enum score_mode mode;
    int definition;
};

struct scoring_outcome {
    struct score_summary summary;
    uint64_t text_count, skipped_count, truncated_count; /* texts; see daemon/text/passages.h */
    uint64_t input_count;                                /* tokens that went through the model */
    double flops;
    double load_seconds, score_seconds; /* on the device */
    uint64_t memory_bytes;              /* that the backend had allocated at most */
};

struct scoring;

/* ERR_CANCELLED, ERR_UNSUPPORTED for a model or tokenizer that cannot be scored, ERR_NOT_FOUND for a missing
 * file or tensor (named), ERR_FORMAT for a wrong shape (named) or more layers than config.json says, what the
 * repository reports. The caller closes *ret_scoring. */
int scoring_open(const struct scoring_request *request, struct scoring **ret_scoring, struct err *err);

/* Borrowed. */
const struct scoring_identity *scoring_identity(const struct scoring *scoring);
const struct score_config *scoring_model(const struct scoring *scoring);

/* See scoring_weights_list_files(). */
int scoring_list_files(const struct scoring *scoring, struct revision_file_row **ret_files, size_t *ret_count,
                       struct err *err);

/* ERR_CANCELLED, ERR_FORMAT (a broken tokenizer, or a broken data set with the line), ERR_MISMATCH (the data
 * set's file changed since scoring_open), ERR_INVALID (a token id beyond the model's
 * vocabulary), what the repository reports. */
int scoring_fetch(struct scoring *scoring, struct err *err);

/* Only after scoring_fetch: loads the model, waits for the turn (alone or not: daemon/measure/device_turns.h)
 * and scores; once more in another precision, if the caller likes. ERR_UNSUPPORTED if the device measures
 * tensors only, ERR_NO_MEMORY with numbers, ERR_CANCELLED, ERR_DEVICE, ERR_DEVICE_LOST. NaN weights are no
 * error: the perplexity is NaN. */
int scoring_run(struct scoring *scoring, struct device_turns *turns, enum score_precision precision,
                int is_alone, struct scoring_outcome *ret_outcome, struct err *err);

/* Whether the precision was to blame: some log-probabilities are NaN or Inf, and no weight is. Reads all
 * weights where it may be so. */
int scoring_has_overflowed(const struct scoring *scoring, const struct scoring_outcome *outcome);

/* After scoring_run: the passages and the log-probabilities of their targets. Borrowed. */
const struct passages *scoring_passages(const struct scoring *scoring);
const struct score_result *scoring_result(const struct scoring *scoring);

/* NULL is allowed. */
void scoring_close(struct scoring *scoring);

#endif
