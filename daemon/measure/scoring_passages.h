/*
 * The texts of a scoring as passages: tokenised, or found in the cache that tasks share.
 */
#ifndef BIFURCATED_MEASURE_SCORING_PASSAGES_H
#define BIFURCATED_MEASURE_SCORING_PASSAGES_H

#include "daemon/base/buf.h"
#include "daemon/measure/scoring.h"
#include "daemon/measure/scoring_tokenizer.h"

/* What passages depend on beside the request: its data set and tokenizer are known by their digests. */
struct scoring_texts {
    const struct scoring_request *request;
    const struct scoring_identity *identity;
    const struct scoring_tokenizer *tokenizer;
    uint32_t context_tokens;
    int64_t prefix_id;      /* or PASSAGES_NO_PREFIX */
    int starts_with_prefix; /* which the identity's parameters say, too */
    unsigned doubts;        /* of enum tokenizer_doubt: texts that have them are refused */
    const char *foreign;    /* of struct tokenizer_use: likewise */
};

/* Finds or makes the passages, held in the request's cache until passages_cache_give_back; of several threads
 * that want the same, one makes them. The tokenizer is parsed only then. ERR_FORMAT (a broken tokenizer, or a
 * broken data set with the line), ERR_MISMATCH (the data set is not the one of the identity any more: its
 * file changed meanwhile), ERR_CANCELLED. */
int scoring_passages_acquire(const struct scoring_texts *texts, const struct passages **ret_passages,
                             struct err *err);

#endif
