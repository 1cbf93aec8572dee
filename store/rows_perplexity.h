/*
 * For this folder only: the columns of perplexities under an alias, and the function that reads them.
 */
#ifndef BIFURCATED_STORE_ROWS_PERPLEXITY_H
#define BIFURCATED_STORE_ROWS_PERPLEXITY_H

#include "store/perplexities.h"
#include "store/query.h"

#define ROWS_PERPLEXITY(p)                                                                                   \
    p ".id, " p ".weights_digest, " p ".dataset_digest, " p ".tokenizer_digest, " p ".mode, " p              \
      ".parameters, " p ".precision, " p ".backend, " p ".definition, " p ".documents, " p ".tokens, " p     \
      ".nll_sum, " p ".perplexity, " p ".perplexity_stderr, " p ".accuracy, " p ".accuracy_stderr, " p       \
      ".seconds, " p ".measured_ms"

/* Expects the columns next in the query. */
void rows_read_perplexity(struct query *query, struct perplexity_row *row);

#endif
