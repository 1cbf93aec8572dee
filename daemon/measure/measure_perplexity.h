/*
 * For measure*.c only: the perplexity of a task's revision.
 */
#ifndef BIFURCATED_MEASURE_MEASURE_PERPLEXITY_H
#define BIFURCATED_MEASURE_MEASURE_PERPLEXITY_H

#include "daemon/measure/measure_tensor.h"
#include "store/perplexities.h"

/* Fills *row, whose weights_digest identifies the revision's weights. What the store knows already (the same
 * weights, texts, tokenizer and definition) is taken from there, without fetching any weights. *ret_files:
 * that gave it, as far as digests are known; the caller frees them. */
int measure_perplexity(struct measure_job *job, struct perplexity_row *row,
                       struct revision_file_row **ret_files, size_t *ret_file_count, struct err *err);

#endif
